import { claudeSettings } from '../adapters/agent-hooks/index.ts';
import { DEMO_GUARDED_PATH, DEMO_REPO, type Demo } from './demo.ts';

export interface Started {
  readonly version: string;
  /** Where it listens, as this machine reaches it. */
  readonly localUrl: string;
  /** How agents reach it. */
  readonly publicUrl: string;
  readonly database:
    | { readonly kind: 'embedded'; readonly dataDirectory: string; readonly rootKeyFile: string | null }
    | { readonly kind: 'own'; readonly server: string; readonly hasRootKey: boolean };
  readonly demo: Demo | null;
}

/** What a person reads once the server is up. It holds keys: for the terminal of whoever started an embedded database. */
export function banner(started: Started): string {
  const sections = [`Signalbox ${started.version} is ready.`, facts(started)];
  if (started.demo !== null) sections.push(connecting(started, started.demo), trying(started, started.demo));
  return `\n${sections.join('\n\n')}\n\n`;
}

function facts({ localUrl, publicUrl, database, demo }: Started): string {
  const rows: [string, string][] = [['URL', `${localUrl}   (the API: ${localUrl}/docs)`]];
  if (publicUrl !== localUrl) rows.push(['Public', publicUrl]);
  if (database.kind === 'own') {
    rows.push(['Database', database.server]);
    if (!database.hasRootKey) rows.push(['Root key', 'none: set SIGNALBOX_ROOT_KEY to create orgs']);
    return table(rows);
  }
  rows.push(['Data', `${database.dataDirectory}   (kept; delete it to start afresh)`]);
  if (database.rootKeyFile !== null) rows.push(['Root key', `in ${database.rootKeyFile}   (creates orgs)`]);
  if (demo !== null) {
    rows.push(['Admin key', `${demo.adminKey}   (org ${demo.org})`]);
    for (const { name, key } of demo.members) rows.push([`${name}'s key`, key]);
  }
  return table(rows);
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n');
}

function connecting({ publicUrl }: Started, { members }: Demo): string {
  const { name, key } = members.at(-1)!;
  return [
    `Connect Claude Code: put this into .claude/settings.json of a project (${DEMO_REPO} being its repository), then, as ${name}:`,
    '',
    `  export SIGNALBOX_KEY=${key} && claude`,
    '',
    hookBlock(publicUrl, DEMO_REPO),
  ].join('\n');
}

/** The settings as JSON, an event a line: laid out in full they would push everything else off the screen. */
export function hookBlock(url: string, repo: string): string {
  const { hooks } = claudeSettings({ url, repo });
  const events = Object.entries(hooks).map(([event, entries]) => `    "${event}": ${JSON.stringify(entries)}`);
  return `{\n  "hooks": {\n${events.join(',\n')}\n  }\n}`;
}

function trying({ localUrl }: Started, { adminKey, members }: Demo): string {
  const { name, key } = members.at(-1)!;
  const api = `${localUrl}/api/v1`;
  const subject = { repo: DEMO_REPO, path: DEMO_GUARDED_PATH };
  const question = JSON.stringify({ action: 'path.edit', subject });
  return [
    'Try it:',
    '',
    `# Who holds what in ${DEMO_REPO}?`,
    `curl -s -H 'Authorization: Bearer ${adminKey}' '${api}/leases?repo=${DEMO_REPO}'`,
    '',
    `# May ${name} edit this file? A person has to look first.`,
    `curl -s -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' -d '${question}' '${api}/decisions'`,
    '',
    '# What has happened so far?',
    `curl -s -H 'Authorization: Bearer ${adminKey}' '${api}/events?after=0'`,
  ].join('\n');
}
