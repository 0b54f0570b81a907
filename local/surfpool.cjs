// Runs one Surfnet until its standard input closes or it is told to stop; prints its addresses as one JSON line.
const { Surfnet } = require(process.argv[2]);

const net = Surfnet.startWithConfig({
  offline: true,
  blockProductionMode: "clock",
  slotTimeMs: Number(process.argv[3]),
  airdropSol: 1_000_000_000_000,
});

// Undrained events fill a channel and stop the node for good, so they are drained all the time.
setInterval(() => net.drainEvents(), 100);

const stop = () => {
  net.stop();
  process.exit(0);
};
process.on("SIGTERM", stop);
process.on("SIGINT", stop);

console.log(JSON.stringify({ rpc: net.rpcUrl, ws: net.wsUrl, payer: Array.from(net.payerSecretKey) }));
