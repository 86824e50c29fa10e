// Walks through a login at the provider's development pages in real Chromium, as a person would.
//
//   node browser.mjs URL USER [SCREENSHOT]
//
// USER logs in with any password and allows what is asked; `deny` in its place declines. Prints a JSON line: where the
// browser ended, what its page says, and which other addresses the last page asked for.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, user, screenshot] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'keepfresh-browser-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
  viewport: { width: 900, height: 620 },
  colorScheme: process.env.COLOR_SCHEME ?? 'light',
  timeout: 60_000,
});
try {
  const page = context.pages()[0] ?? await context.newPage();
  page.setDefaultTimeout(30_000);
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(url);
  // Each page of the provider is a form; the pages after the last one are not.
  for (let step = 0; step < 6; step += 1) {
    const cancel = page.getByText(/Cancel|Abort/i).first();
    if (user === 'deny' && await cancel.count()) {
      await cancel.click();
      await page.waitForLoadState();
      break;
    }
    const login = page.locator('input[name=login]');
    if (await login.count()) {
      await login.fill(user);
      await page.locator('input[name=password]').fill('anything');
    }
    const button = page.locator('button[type=submit]').first();
    if (!await button.count()) break;
    await button.click();
    await page.waitForLoadState();
  }
  if (screenshot) await page.screenshot({ path: screenshot });
  const end = new URL(page.url());
  console.log(JSON.stringify({
    origin: end.origin,
    path: end.pathname,
    title: await page.title(),
    text: await page.locator('body').innerText(),
    background: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
    asked: asked.filter((address) => address.startsWith(end.origin)).map((address) => new URL(address).pathname),
  }));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
