"""The database: opened once by the control process, written by one transaction at a time.

SQLite: one connection writes and alone checkpoints (all SQLite before 3.51.3 can damage a WAL database when
one connection checkpoints while another commits); readers have connections of their own that cannot write.
It is never memory-mapped. PostgreSQL: writing transactions take one advisory lock, so that both databases
give the same promise: writers are serial, and readers see whole transactions.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from modelport.domain.clock import Clock
from modelport.domain.errors import Conflict, InvalidInput, Unavailable
from modelport.durable import crash_point
from modelport.stores.records.schema import migrate
from modelport.stores.records.transaction import Transaction

T = TypeVar("T")

PLATFORM = "modelport"
WRITER_LOCK = 0x6D70_0001  # "mp": names our advisory locks among others in the same database
OWNER_LOCK = 0x6D70_0002
BUSY_TIMEOUT_MS = 5_000
READERS_MAX = 8
WAITERS_MAX = 16  # each holds a thread of its caller


class Records:
    """Resources and events.

    Args:
        url: SQLAlchemy URL of SQLite or PostgreSQL.
        clock: Gives the time of what is written.

    Raises:
        InvalidInput: The URL is not one of a supported database, or its driver is missing.
        Conflict: Another control process works on this PostgreSQL database.
        Unavailable: The database does not answer.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._writing = threading.Lock()
        self._closed = False
        self._changed = threading.Condition()
        self._edition = 0
        self._waiters = threading.Semaphore(WAITERS_MAX)
        where = _parse(url)
        self.dialect = where.get_backend_name()
        self._owner: Connection | None = None
        with _explained():
            if self.dialect == "sqlite":
                self._writer = _open_sqlite(where, read_only=False)
                self._reader = _open_sqlite(where, read_only=True)
            else:
                self._writer = self._reader = _open_postgresql(where)
            try:
                if self.dialect == "postgresql":
                    self._owner = self._claim()
                with self._writer.connect() as connection:
                    migrate(connection)
            except BaseException:
                self.close()
                raise

    @contextmanager
    def transaction(self, *, principal: str = PLATFORM) -> Iterator[Transaction]:
        """Open a writing transaction; it is committed, durably, when the block ends without an error.

        Args:
            principal: Whom its events name.

        Yields:
            The transaction. Writing ones are serial: nothing it read is changed by others before it ends.

        Raises:
            Unavailable: The database cannot be written; nothing was changed.
        """
        with self._writing, _explained(), self._begin() as connection:
            if self.dialect == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
            yield Transaction(connection, principal=principal, now=self._clock.now())
            crash_point("records.before_commit")
        crash_point("records.after_commit")
        with self._changed:
            self._edition += 1
            self._changed.notify_all()

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Open a reading transaction: one consistent view, and no way to write.

        Raises:
            Unavailable: The database does not answer.
        """
        if self._closed:
            raise _ended()
        with _explained(), self._reader.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield Transaction(connection, principal=PLATFORM, now=self._clock.now())

    def look_until(self, look: Callable[[], T], done: Callable[[T], bool], wait_s: float) -> T:
        """Return what `look` finds: once that is `done`, or as it is when the time is over.

        Args:
            look: Reads; called at once, and again whenever this process has written something.
            done: Whether there is nothing more to wait for.
            wait_s: Seconds to wait at most; 0 looks once, and so does a caller when too many
                wait already.
        """
        deadline = self._clock.monotonic() + wait_s
        if wait_s <= 0 or not self._waiters.acquire(blocking=False):
            return look()
        try:
            while True:
                edition = self._edition
                found = look()
                left = deadline - self._clock.monotonic()
                if done(found) or left <= 0 or not self._wait_for_news(edition, left):
                    return found
        finally:
            self._waiters.release()

    def _wait_for_news(self, edition: int, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._edition != edition, seconds)

    def close(self) -> None:
        """Close all connections; the writer last, because the last one checkpoints.

        A transaction that is open ends first: to close a connection that another thread uses is a crash.
        """
        if self._closed:
            return
        with self._writing:
            self._closed = True
            if self._owner is not None:
                self._owner.close()
            self._reader.dispose()
            self._writer.dispose()

    def _begin(self) -> AbstractContextManager[Connection]:
        if self._closed:
            raise _ended()
        return self._writer.begin()

    def _claim(self) -> Connection:
        """Hold the database for this process, as the lock on the home does for SQLite."""
        connection = self._writer.connect().execution_options(isolation_level="AUTOCOMMIT")
        held = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({OWNER_LOCK})").scalar()
        if not held:
            connection.close()
            raise Conflict(
                "another modelport control process works on this database",
                hint="stop it, or give this home a database of its own",
            )
        return connection


def _ended() -> Unavailable:
    return Unavailable("the records are closed: this process ends")


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        backend = ""
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    # The URL itself is not repeated: it may hold a password.
    raise InvalidInput(
        "the database URL is not one of SQLite or PostgreSQL",
        hint="write postgresql://USER:PASSWORD@HOST/NAME, or leave database_url empty",
    )


def _open_sqlite(url: URL, *, read_only: bool) -> Engine:
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    pool: dict[str, Any] = (
        {"poolclass": QueuePool, "pool_size": READERS_MAX, "max_overflow": 0}
        if read_only
        else {"poolclass": StaticPool}
    )
    engine = create_engine(url, connect_args={"check_same_thread": False}, **pool)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        own = (
            ("query_only=ON", "wal_autocheckpoint=0")
            if read_only
            else ("journal_mode=WAL", "synchronous=FULL")
        )
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON", "mmap_size=0", *own):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _open_postgresql(url: URL) -> Engine:
    try:
        return create_engine(url, pool_pre_ping=True, pool_size=READERS_MAX, max_overflow=2)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            "the PostgreSQL driver is not installed", hint='pip install "modelport[postgresql]"'
        ) from error


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise Unavailable(
            f"the records cannot be reached: {cause}",
            hint="check that the disk has space and that the database answers, then try again",
        ) from error
