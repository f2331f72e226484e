"""The peer: what a careful engineer would build with FastAPI for the same work.

It does what operators and clients are promised: the answer is sent after the
commit that holds the ARC and the fact that it is due; every request has an id,
every answer a line in the access log (Uvicorn's own), every change a line in the
audit trail, which an index finds by ARC; lists of ARCs have their indexes; and
there is a bound on the requests at a time.

It does so as well as it can be done, so that it stands for the best of its
kind rather than for an average:

- responses are made by hand, no response models; what every request needs is
  plain ASGI instead of FastAPI's middleware, which costs several times as much;
- the body is parsed once, checked by hand instead of by a model;
- one statement per ARC (asyncpg, prepared, one round trip; the pool's reset
  query, a second round trip, is switched off);
- no metrics, no certificates, no budget per client, no deadlines for slow ones.

With PEER_LEAN it leaves out all of the first paragraph but the commit: what
FastAPI can do at the very best.

Run by Gunicorn with Uvicorn's worker class, which takes uvloop and httptools
when they are installed. Settings come from the environment: PEER_DSN, PEER_POOL,
PEER_LEAN.
"""

import asyncio
import hashlib
import json
import os
import secrets

import asyncpg
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

try:  # a faster parser, where the distribution has one
    from orjson import loads
except ImportError:
    from json import loads

LEAN = bool(os.environ.get("PEER_LEAN"))
MOST_REQUESTS = 512
UNBOUNDED = ("/v3/liveness", "/wait/")
KNOWN_RDIS = {"bench"}
VOLATILE = ("datePublished", "sdDatePublished", "dateModified")

STORE = """
WITH stored AS (
    INSERT INTO arc AS a (id, rdi, identifier, name, description, content, content_hash, content_size)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (id) DO UPDATE SET
        last_seen = now(),
        name = excluded.name,
        description = excluded.description,
        version = a.version + (a.content_hash <> excluded.content_hash)::int,
        content = CASE WHEN a.content_hash = excluded.content_hash THEN a.content ELSE excluded.content END,
        content_size = excluded.content_size,
        last_changed = CASE WHEN a.content_hash = excluded.content_hash THEN a.last_changed ELSE now() END,
        due_at = CASE WHEN a.content_hash = excluded.content_hash THEN a.due_at ELSE now() END,
        outcome = CASE WHEN a.content_hash = excluded.content_hash THEN 'unchanged' ELSE 'updated' END,
        content_hash = excluded.content_hash
    RETURNING id, outcome, first_seen, last_seen
), logged AS (
    INSERT INTO event (arc_id, type, message)
    SELECT id, CASE outcome WHEN 'created' THEN 'ARC_CREATED' ELSE 'ARC_UPDATED' END,
        CASE outcome WHEN 'created' THEN 'ARC first seen' ELSE 'ARC content updated' END
    FROM stored WHERE outcome <> 'unchanged'
){audited}
SELECT outcome, first_seen, last_seen FROM stored
""".replace("{audited}", "" if LEAN else """, audited AS (
    INSERT INTO audit (actor, request_id, action, arc_id, rdi)
    SELECT 'anonymous', $9, 'arc.' || outcome, id, $2 FROM stored WHERE outcome <> 'unchanged'
)""")


class Connection(asyncpg.Connection):
    """A connection that changes no session state, so that nothing has to be reset."""

    def get_reset_query(self):
        return ""


app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
pool = None


@app.on_event("startup")
async def connect():
    global pool
    if dsn := os.environ.get("PEER_DSN"):
        size = int(os.environ.get("PEER_POOL", "8"))
        pool = await asyncpg.create_pool(dsn=dsn, min_size=1, max_size=size, connection_class=Connection)


@app.on_event("shutdown")
async def disconnect():
    if pool is not None:
        await pool.close()


class Duties:
    """What every request gets: an id, and a place among those that are served at a time."""

    def __init__(self, app):
        self.app = app
        self.places = MOST_REQUESTS

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
        request_id = given[:64] if given.isalnum() else secrets.token_hex(12).encode()
        scope["request_id"] = request_id.decode()

        async def answer(message):
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", request_id))
            await send(message)

        if scope["path"].startswith(UNBOUNDED):
            await self.app(scope, receive, answer)
            return
        if self.places == 0:
            await refuse(503, "overloaded")(scope, receive, answer)
            return
        self.places -= 1
        try:
            await self.app(scope, receive, answer)
        finally:
            self.places += 1


if not LEAN:
    app.add_middleware(Duties)


@app.get("/v3/liveness")
async def liveness():
    return JSONResponse({"status": "ok", "services": {"api_process": True}})


@app.get("/wait/{milliseconds}")
async def wait(milliseconds: int):
    await asyncio.sleep(milliseconds / 1000)
    return JSONResponse({"status": "ok", "services": {"api_process": True}})


def text(value):
    return value.strip() if isinstance(value, str) else ""


def content_hash(crate):
    """The hash of the canonical text without the dates that every export changes."""
    graph = [{k: v for k, v in entity.items() if k not in VOLATILE} for entity in crate["@graph"]]
    canonical = json.dumps({"@context": crate["@context"], "@graph": graph}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).digest()


def refuse(status, detail):
    return JSONResponse({"detail": detail}, status_code=status)


@app.post("/v3/arcs")
async def submit(request: Request):
    body = await request.body()
    try:
        document = loads(body)
        rdi, crate = document["rdi"], document["arc"]
        graph = crate["@graph"]
        crate["@context"]
        root = next((e for e in graph if e["@id"] == "./"), None)
    except (ValueError, KeyError, TypeError) as error:
        return refuse(422, str(error))
    identifier = text(root.get("identifier")) if root else ""
    if not identifier:
        return refuse(422, "RO-Crate must contain a root data entity with an identifier")
    if rdi not in KNOWN_RDIS:
        return refuse(400, "unknown RDI")
    arc_id = hashlib.sha256(f"{identifier}:{rdi}".encode()).digest()
    digest = content_hash(crate)
    async with pool.acquire() as connection:
        row = await connection.fetchrow(
            STORE,
            arc_id,
            rdi,
            identifier,
            text(root.get("name")),
            text(root.get("description")),
            body.decode(),
            digest,
            len(body),
            *(() if LEAN else (request.scope["request_id"],)),
        )
    first, last = row["first_seen"].isoformat() + "Z", row["last_seen"].isoformat() + "Z"
    created = row["outcome"] == "created"
    return JSONResponse(
        {
            "client_id": None,
            "message": "ARC processed successfully",
            "arc_id": arc_id.hex(),
            "status": "created" if created else "updated",
            "metadata": {"arc_hash": digest.hex(), "status": "ACTIVE", "first_seen": first, "last_seen": last},
            "events": [{"timestamp": first, "type": "ARC_CREATED", "message": "ARC first seen"}] if created else [],
        }
    )
