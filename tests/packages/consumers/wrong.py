"""What type checkers must find in the code of somebody who has installed the wheel."""

import pbweb as pb


async def wrong(connection: pb.Connection) -> None:
    pb.Limits(calls="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pb.connect(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    connection.getRootObjects()  # type: ignore[attr-defined]  # pyright: ignore
    print(pb.Nothing)  # type: ignore[attr-defined]  # pyright: ignore
