// Reconciler on the types that openapi-typescript generates, with openapi-fetch: run against a live portal.
//
//   node reconcile.js ADDRESS TOKEN
import { strict as assert } from "node:assert";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Feed = components["schemas"]["Feed"];

const [address, token] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: address, headers: { Authorization: `Bearer ${token}` } });
const names = ["a", "b", "c"].map((letter) => `typescript.${letter}`);

async function feeds(): Promise<Map<string, Feed>> {
  const { data } = await client.GET("/api/v1/feeds/", { params: { query: { ordering: ["status", "-name"], limit: 1000 } } });
  assert(data);
  return new Map(data.results.map((feed) => [feed.name, feed]));
}

async function reconcile(wanted: Map<string, string>): Promise<[number, number, number]> {
  const present = await feeds();
  const create = [...wanted].filter(([name]) => !present.has(name)).map(([name, owner]) => ({ name, owner }));
  const change = [...present.values()]
    .filter((feed) => wanted.has(feed.name) && wanted.get(feed.name) !== feed.owner)
    .map((feed) => ({ name: feed.name, owner: wanted.get(feed.name), etag: feed.etag }));
  const remove = [...present.values()]
    .filter((feed) => feed.name.startsWith("typescript.") && !wanted.has(feed.name))
    .map((feed) => ({ name: feed.name, etag: feed.etag }));
  if (create.length) assert((await client.POST("/api/v1/feeds/bulk/", { body: create })).data);
  if (change.length) {
    const { data } = await client.PATCH("/api/v1/feeds/", { body: change });
    assert(Array.isArray(data) && data.length === change.length);
  }
  if (remove.length) {
    assert.equal((await client.POST("/api/v1/feeds/bulk/delete/", { body: remove })).response.status, 204);
  }
  return [create.length, change.length, remove.length];
}

const all = new Map(names.map((name) => [name, "A"]));
assert.deepEqual(await reconcile(all), [3, 0, 0]);
assert.deepEqual(await reconcile(all), [0, 0, 0]);
assert.deepEqual(await reconcile(new Map([["typescript.a", "B"], ["typescript.b", "A"]])), [0, 1, 1]);

const { data: made } = await client.POST("/api/v1/feeds/", { body: { name: "typescript.d" } });
assert(made && "etag" in made);
const path = { name: "typescript.d" };
const unchanged = await client.GET("/api/v1/feeds/{name}/", {
  params: { path, header: { "If-None-Match": made.etag } },
});
assert.equal(unchanged.response.status, 304);
const change = { params: { path, header: { "If-Match": made.etag } }, body: { status: "Drop" } } as const;
const { data: changed } = await client.PATCH("/api/v1/feeds/{name}/", change);
assert(changed && "status" in changed && changed.status === "Drop");
const late = await client.PATCH("/api/v1/feeds/{name}/", change);
assert.equal(late.response.status, 412);
assert.equal(late.error?.code, "precondition_failed");
const refused = await client.PATCH("/api/v1/feeds/", { body: [{ name: "typescript.none" }] });
assert.equal(refused.error?.errors?.[0]?.index, 0);

const { data: table } = await client.GET("/api/v1/feeds.csv", { parseAs: "text" });
assert(table?.startsWith("name,status"));
const { data: code } = await client.GET("/api/v1/codes/{registry}/{code}/", {
  params: { path: { registry: "http", code: "503" } },
});
assert(code?.known);
