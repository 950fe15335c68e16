// Works through a session in Chromium, by keyboard, in two pages at once, with names that would be markup.
//   node browser/session.mjs URL      (a running studio, such as that of browser/hostile.py)
import assert from "node:assert/strict";
import puppeteer from "puppeteer-core";

const url = process.argv[2];
if (!url) throw new Error("usage: node browser/session.mjs URL");
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const problems = [];

async function opened() {
  const page = await browser.newPage();
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => request.url().startsWith(new URL(url).origin) || request.url().startsWith("data:") || problems.push(`asked for ${request.url()}`));
  await page.setViewport({ width: 1280, height: 720 });
  await page.goto(url);
  await page.waitForSelector(".studio");
  return page;
}

const states = (page) => page.$$eval(".history li", (rows) => rows.length);
const current = (page) => page.$eval("[aria-current]", (row) => row.title);
const more = (page, n) => page.waitForFunction((n) => document.querySelectorAll(".history li").length > n, { timeout: 30_000, polling: 100 }, n);
const idle = (page) => page.waitForFunction(() => ![...document.querySelectorAll("header button")].some((b) => b.textContent === "Stop"), { timeout: 60_000, polling: 100 });
const done = (text) => console.log(`ok  ${text}`);

const [a, b] = [await opened(), await opened()];
await a.bringToFront();

for (let n = 0; n < 40 && !(await a.evaluate(() => document.activeElement.matches("g.edge"))); n++) await a.keyboard.press("Tab");
const first = await a.evaluate(() => document.activeElement.dataset.key);
await a.keyboard.press("ArrowDown");
const second = await a.evaluate(() => document.activeElement.dataset.key);
assert.notEqual(first, second);
done("Tab leads to the network, arrows lead from edge to edge");

await a.keyboard.press("Enter");
await a.waitForSelector(".candidates button");
let count = await states(a);
await a.keyboard.press("1");
await more(a, count);
await more(b, count);
assert.equal(await current(a), await current(b));
assert.equal(await a.evaluate(() => document.activeElement.dataset.key), second);
done("1 fixes the edge to the first candidate, in both pages, and the focus stays");

const fixed = await current(a);
await a.keyboard.press("u");
await a.waitForFunction((t) => document.querySelector("[aria-current]").title !== t, {}, fixed);
await a.keyboard.press("r");
await a.waitForFunction((t) => document.querySelector("[aria-current]").title === t, {}, fixed);
done("U undoes, R does it again");

count = await states(a);
await a.click("#tab-network");
await a.$eval("input[type=number]", (field) => {
  field.value = "1000";
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.blur();
});
await a.keyboard.press("f");
await pause(150);
await b.bringToFront();
await b.keyboard.press("Escape");
await more(a, count);
await Promise.all([idle(a), idle(b)]);
assert.match(await current(b), /fit, \d+ steps/);
done(`F fits; Esc in the other page stops it: ${await current(b)}`);

await a.bringToFront();
await a.evaluate(() => document.querySelector(".history [aria-label^='Name state']").click());
await a.waitForSelector(".rename");
await a.keyboard.type("<b onclick=alert(1)>first</b>");
await a.keyboard.press("Enter");
await a.waitForFunction(() => document.querySelector(".history b")?.textContent.startsWith("<b onclick"));
done("a name is text");

await a.evaluate(() => document.querySelector(".history li:first-child [aria-label^=Compare]").click());
await a.waitForSelector(".other .network svg");
done("two states stand side by side");

const size = await a.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
assert.deepEqual(size, [1280, 720]);
assert.equal(await a.evaluate(() => window.pwned), undefined);
assert.deepEqual(problems, []);
done("nothing scrolls at 1280 x 720, no name became markup, nothing was asked of others");
await browser.close();
