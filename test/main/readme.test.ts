import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hookBlock } from '../../src/main/banner.ts';
import { type Demo, ensureDemo } from '../../src/main/demo.ts';
import { ROOT_KEY, startTestServer, type TestServer } from '../support/server.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const fileText = (name: string) => readFile(join(ROOT, name), 'utf8');

/** What the examples need of jq, for machines without it. */
const JQ = `jq() { node -e '
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => {
    let value = JSON.parse(text);
    for (const key of process.argv[1].slice(1).split(".")) value = value[key];
    console.log(typeof value === "string" ? value : JSON.stringify(value));
  });' "$2"; }`;

let server: TestServer;
let demo: Demo;
let folder: string;
let readme: string;

beforeAll(async () => {
  readme = await fileText('README.md');
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), 'signalbox-readme-'));
  demo = (await ensureDemo(server.signalbox.app, ROOT_KEY, folder))!;
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

/** The first fenced block of a language below a heading. */
function block(heading: string, language: string): string {
  const section = readme.slice(readme.indexOf(`\n## ${heading}\n`));
  return new RegExp(`\`\`\`${language}\n([^]*?)\n\`\`\``).exec(section)![1]!;
}

describe('the README', () => {
  it('has an example of the API that answers what its comments say', async () => {
    const example = block('The API by example', 'sh');
    const said = [...example.matchAll(/ # (.+)$/gm)].map(([, answer]) => answer);
    const [ada, grace] = demo.members;
    const keys = `URL=${server.url}/api/v1 ADMIN=${demo.adminKey} ADA=${ada!.key} GRACE=${grace!.key}`;
    const script = example.replace(/^URL=.*$/m, keys);
    const { stdout } = await promisify(execFile)('/bin/sh', ['-euc', `${JQ}\n${script}`]);
    expect(said.length).toBeGreaterThan(5);
    expect(stdout.trim().split('\n')).toEqual(said);
  });

  it('has an example of a policy that can be published', async () => {
    const admin = server.caller(demo.adminKey);
    const headers = { 'content-type': 'application/yaml' };
    const draft = await admin.put('/policies/house/draft', block('Policies', 'yaml'), headers);
    expect(draft.body).toMatchObject({ warnings: [] });
    expect((await admin.post('/policies/house/publish')).status).toBe(200);
  });

  it('has the hook block as the server prints it', () => {
    expect(block('Connect Claude Code', 'json')).toBe(hookBlock('https://signalbox.example.com', 'acme/shop'));
  });

  it('names every variable of the configuration, and no other', async () => {
    const known = [...(await fileText('src/platform/config.ts')).matchAll(/^ {2}([A-Z][A-Z_]+): /gm)];
    const section = readme.slice(readme.indexOf('\n## Configuration\n'), readme.indexOf('\n## On your own'));
    const told = [...section.matchAll(/^\| `([A-Z_]+)` \|/gm)];
    const names = (found: RegExpMatchArray[]) => new Set(found.map(([, name]) => name));
    expect(known.length).toBeGreaterThan(5);
    expect(names(told)).toEqual(names(known));
  });

  it('links to files that are there', async () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, target]) => target!);
    expect(links.length).toBeGreaterThan(3);
    await expect(Promise.all(links.map(fileText))).resolves.toBeDefined();
  });
});
