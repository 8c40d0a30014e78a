// Runs after `next build`. Writes into out/:
//   csp.json      sha256 hashes of the inline scripts of every page and of the one style element that the charts add,
//                 so that the gateway can send a Content-Security-Policy without 'unsafe-inline';
//   licenses.txt  the notices of the libraries that are part of the built page.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OUT = join(import.meta.dirname, "out");
const MODULES = join(import.meta.dirname, "node_modules");
const SHIPPED = ["next", "react", "react-dom", "scheduler", "lightweight-charts", "fancy-canvas", "openapi-fetch", "uqr"];

const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

function inlineScripts() {
  const found = new Set();
  for (const page of readdirSync(OUT, { recursive: true }).filter((file) => file.endsWith(".html"))) {
    const html = readFileSync(join(OUT, page), "utf8");
    for (const [, attributes, body] of html.matchAll(/<script\b([^>]*)>([\s\S]*?)<\/script>/g)) {
      if (!/\ssrc=/.test(attributes)) found.add(hash(body));
    }
  }
  return [...found].sort();
}

function chartStyle() {
  const source = readFileSync(join(MODULES, "lightweight-charts/dist/lightweight-charts.production.mjs"), "utf8");
  const style = /createElement\("style"\),this\.\w+\.innerText="([^"\\]+)"/.exec(source);
  if (!style) throw new Error("lightweight-charts no longer adds its style the known way: look again at chartStyle()");
  return [hash(style[1])];
}

function notice(name) {
  const folder = join(MODULES, name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const files = readdirSync(folder).filter((file) => /^(license|notice)/i.test(file)).sort();
  const texts = files.map((file) => readFileSync(join(folder, file), "utf8").trim());
  return [`${name} ${version} (${license})`, ...texts].join("\n\n");
}

const csp = { "script-src": inlineScripts(), "style-src": chartStyle() };
writeFileSync(join(OUT, "csp.json"), `${JSON.stringify(csp, null, 2)}\n`);
writeFileSync(join(OUT, "licenses.txt"), `${SHIPPED.map(notice).join(`\n\n${"-".repeat(80)}\n\n`)}\n`);
