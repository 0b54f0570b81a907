"""Assets: what an amount counts, and how many of its digits are a fraction."""

from sqlmodel import Field, SQLModel

from db.columns import text


class Asset(SQLModel, table=True):
    """`id` is CAIP-19 on a chain, `iso4217:USD` or `casino:<slug>/GOLD_COINS` off it."""

    __tablename__ = "assets"

    id: str = text(primary_key=True)
    symbol: str = text()
    scale: int = Field(ge=0, le=36)
