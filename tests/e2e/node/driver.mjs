// Drives the npm client from Node: reads calls as lines of JSON, answers each with a line.
// Each device is a client of its own with a cookie jar of its own; the client is unchanged.
import { createInterface } from "node:readline";
import { createAuthClient } from "better-auth/client";
import { CookieJar } from "tough-cookie";

const baseURL = process.env.BASE_URL;
const devices = new Map();
const PATIENCE_MS = 60_000;

function makeDevice(name, { origin = baseURL } = {}) {
  const jar = new CookieJar();
  const said = { cookies: [] };

  // What a browser does by itself: keep cookies, and say which page asks.
  async function fetchAsBrowser(input, init = {}) {
    const request = new Request(input, init);
    const headers = new Headers(request.headers);
    const cookie = await jar.getCookieString(request.url);
    if (cookie) headers.set("Cookie", cookie);
    if (origin) headers.set("Origin", origin);
    headers.set("User-Agent", `Node of ${name}`);
    const answer = await fetch(request, { headers });
    said.cookies = answer.headers.getSetCookie();
    for (const line of said.cookies) await jar.setCookie(line, request.url);
    return answer;
  }

  const client = createAuthClient({ baseURL, fetchOptions: { customFetchImpl: fetchAsBrowser } });
  const device = { client, jar, said };
  devices.set(name, device);
  return device;
}

// What useSession() shows, in words that JSON can hold.
function shown({ data, isPending, error }) {
  const { email = null, name = null } = data?.user ?? {};
  return { isPending, email, name, error: error ? (error.status ?? "no answer") : null };
}

// Subscribes as a page would, and answers with all that was shown until it is what is wanted.
function untilSessionShows(client, wanted) {
  return new Promise((resolve, reject) => {
    const states = [];
    const giveUp = () => reject(new Error(`useSession() showed ${JSON.stringify(states)}`));
    const timer = setTimeout(giveUp, PATIENCE_MS);
    client.useSession.subscribe((state) => {
      states.push(shown(state));
      const isWanted = ([name, value]) => states.at(-1)[name] === value;
      if (!Object.entries(wanted).every(isWanted)) return;
      clearTimeout(timer);
      resolve(states);
    });
  });
}

async function run({ device: name, call, args = [], options = {} }) {
  const device = devices.get(name) ?? makeDevice(name, options);
  if (call === "jar") {
    const cookies = await device.jar.getCookies(baseURL);
    return cookies.map((cookie) => cookie.toJSON());
  }
  if (call === "restart") {
    // A browser that is closed forgets what has neither Max-Age nor Expires.
    for (const cookie of await device.jar.getCookies(baseURL)) {
      if (cookie.maxAge === null && cookie.expires === "Infinity") {
        await device.jar.store.removeCookie(cookie.domain, cookie.path, cookie.key);
      }
    }
    return null;
  }
  if (call === "sessionShows") return await untilSessionShows(device.client, ...args);
  if (call === "lastCookies") return device.said.cookies;
  if (call === "$fetch") return await device.client.$fetch(...args);
  const method = call.split(".").reduce((found, part) => found[part], device.client);
  return await method(...args);
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { value: (await run(JSON.parse(line))) ?? null };
  } catch (error) {
    answer = { thrown: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
