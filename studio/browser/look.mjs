// Looks at a running studio in Chromium, light and dark: accessibility by axe-core, and pictures of every panel.
//   edgewise studio TABLE --target COLUMN --no-browser        (prints URL)
//   CHROMIUM=/usr/bin/chromium node browser/look.mjs URL FOLDER
// Exits with 1 where axe finds something.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const [url, folder] = process.argv.slice(2);
if (!url || !folder) throw new Error("usage: node browser/look.mjs URL FOLDER");
mkdirSync(folder, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
let found = 0;
for (const mode of ["light", "dark"]) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => {
    found += 1;
    console.log(`error in the page: ${error.message}`);
  });
  await page.setBypassCSP(true); // for axe only: the page itself runs under its policy
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: mode }]);
  await page.setViewport({ width: 1280, height: 720 });
  await page.goto(url);
  await page.waitForSelector(".studio");
  await page.evaluate(axe);

  const look = async (name) => {
    const { violations, passes } = await page.evaluate(() => window.axe.run());
    found += violations.length;
    console.log(`${mode} ${name}: ${violations.length} findings, ${passes.length} rules passed`);
    for (const v of violations) console.log(`  ${v.impact} ${v.id}: ${v.nodes[0].html.slice(0, 160)}`);
    await page.screenshot({ path: join(folder, `${name}-${mode}.png`) });
  };

  await look("network");
  await page.click(".edge .box");
  await page.waitForSelector(".candidates button");
  await page.hover(".candidates li button");
  await pause(200);
  await look("edge");
  await page.click("#tab-what-if");
  await pause(500);
  await look("what-if");
  await page.keyboard.press("?");
  await look("help");
  await page.close();
}
await browser.close();
process.exit(found ? 1 : 0);
