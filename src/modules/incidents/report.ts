import type { ChainLink, Suspect, Suspects } from './suspect-views.ts';
import type { IncidentView } from './views.ts';

/** Suspects told in full. */
const TOLD = 3;
const MAX_TEXT = 300;

/**
 * An incident's report in Markdown: what is known, when what happened, who may have done it, and the chain behind each of
 * the first suspects. Whatever people or agents wrote is shown as the text that it is, never as markup. Pure.
 */
export function reportOf(incident: IncidentView, suspects: Suspects): string {
  const told = suspects.items.slice(0, TOLD);
  const sections = [
    head(incident),
    ...evidenceSection(incident, suspects),
    '## Timeline',
    ...timeline(incident, told),
    '## Suspects',
    ...table(suspects),
    ...told.flatMap((suspect, index) => suspectSection(suspect, index + 1)),
    '---',
    'An edge is **exact** where a key on record ties the two, **inferred** where order, time or path do. Probabilities weigh only what is on record; they sum to 1 with “none of these”.',
  ];
  return `${sections.join('\n\n')}\n`;
}

function head(incident: IncidentView): string {
  const where = [
    incident.service === null ? null : `service ${code(incident.service)}`,
    incident.environment === null ? null : `environment ${code(incident.environment)}`,
  ].filter((part) => part !== null);
  return [
    `# Incident: ${plain(incident.title)}`,
    '',
    `Started ${incident.startedAt}, opened ${incident.openedAt}${where.length === 0 ? '' : `, ${where.join(', ')}`}.`,
    `Id ${code(incident.id)}.`,
  ].join('\n');
}

function evidenceSection({ evidence }: IncidentView, { evidence: found }: Suspects): string[] {
  const missing = new Set(found.tracesMissing);
  const lines = [
    ...evidence.frames.map(
      ({ path, line, commit }) =>
        `- frame ${code(line === null ? path : `${path}:${line}`)}${commit === null ? '' : `, line written by ${code(commit)}`}`,
    ),
    ...evidence.paths.map((path) => `- path ${code(path)}`),
    ...evidence.traceIds.map((id) => `- trace ${code(id)}${missing.has(id) ? ' (no span stored)' : ''}`),
  ];
  return ['## Evidence', lines.join('\n')];
}

function timeline(incident: IncidentView, told: readonly Suspect[]): string[] {
  const entries = new Map<string, { at: string; text: string }>();
  for (const link of told.flatMap(({ chain }) => chain)) {
    if (link.at !== null && link.kind !== 'incident')
      entries.set(`${link.kind} ${link.id}`, { at: link.at, text: describe(link) });
  }
  entries.set('incident', { at: incident.startedAt, text: `**the incident began**` });
  entries.set('opened', { at: incident.openedAt, text: 'the incident was opened' });
  const ordered = [...entries.values()].toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  return [ordered.map(({ at, text }) => `- ${at}: ${text}`).join('\n')];
}

function table({ items, noneOfThese, omitted, window }: Suspects): string[] {
  const about = `${window.candidates} changes were deployed from ${window.from} to ${window.to}.`;
  const rows = items.map(
    ({ change, loop, deploy, probability, score }, index) =>
      `| ${index + 1} | ${percent(probability)} | ${score.toFixed(2)} | ${code(change.commit.slice(0, 12))} | ${loop === null ? '' : plain(loop.name)} | ${deploy.at} | ${change.intent === null ? '' : plain(change.intent)} |`,
  );
  const others = omitted.count === 0 ? [] : [`| | ${percent(omitted.probability)} | | ${omitted.count} more | | | |`];
  const none = `| | ${percent(noneOfThese)} | | none of these | | | |`;
  const lines = [
    '| | probability | score | commit | loop | deployed | intent |',
    '| --- | --- | --- | --- | --- | --- | --- |',
  ];
  return [about, [...lines, ...rows, ...others, none].join('\n')];
}

function suspectSection(suspect: Suspect, number: number): string[] {
  const { change, terms, probability } = suspect;
  const term = (name: string, value: number | null, logOdds: number, more = '') =>
    `| ${name} | ${value === null ? 'not known' : round(value)} | ${signed(logOdds)} | ${more} |`;
  const matches = terms.path.matches
    .slice(0, 5)
    .map(({ file, relation }) => `${code(file)} (${relation.replaceAll('_', ' ')})`);
  return [
    `### ${number}. ${code(change.commit.slice(0, 12))}, ${percent(probability)}`,
    [
      '| term | value | log-odds | |',
      '| --- | --- | --- | --- |',
      term('path', terms.path.value, terms.path.logOdds, matches.join(', ')),
      term('line', terms.line.value, terms.line.logOdds, terms.line.note ?? ''),
      term('time', terms.time.value, terms.time.logOdds, `${round(terms.time.hoursSinceDeploy)} h after its deploy`),
      term('churn', terms.churn.value, terms.churn.logOdds, `${terms.churn.files} files`),
      term(
        'anomalies',
        terms.anomalies.value,
        terms.anomalies.logOdds,
        terms.anomalies.found.map(({ kind }) => kind.replaceAll('_', ' ')).join(', '),
      ),
      term('trace', terms.trace.value, terms.trace.logOdds),
      term('service', terms.service.value, terms.service.logOdds),
      term('live', terms.live.value, terms.live.logOdds),
    ].join('\n'),
    suspect.chain
      .map(
        (link, index) =>
          `${index + 1}. ${describe(link)}${link.from === null ? '' : ` (**${link.edge}**: ${link.because})`}`,
      )
      .join('\n'),
  ];
}

/** One step of a chain in words. */
function describe(link: ChainLink): string {
  const text = (name: string) => (typeof link[name] === 'string' ? plain(link[name]) : '');
  const id = code(link.id);
  switch (link.kind) {
    case 'incident':
      return `incident ${id}: ${text('title')}`;
    case 'deploy':
      return `deploy ${id} of ${text('service')} to ${text('environment')}`;
    case 'change':
      return `change ${id}${text('intent') === '' ? '' : `: ${text('intent')}`}`;
    case 'run':
      return `run ${id}, ${text('outcome') || text('status')}`;
    case 'loop':
      return `loop ${text('name')} ${id}, owner ${plain(ownerOf(link))}`;
    case 'lease':
      return `lease ${id}${link['inForce'] === true ? '' : `, not in force (${text('stale').replaceAll('\\_', ' ')})`}${text('purpose') === '' ? '' : `: ${text('purpose')}`}`;
    case 'decision':
      return `decision ${id}: ${text('action')} ${text('outcome')}`;
    case 'approval':
      return `approval ${id}, ${text('status')}: ${votesOf(link)}`;
    case 'trace':
      return `trace ${id}`;
  }
}

function ownerOf(link: ChainLink): string {
  const owner = link['owner'] as { name: string; id: string };
  return owner.name === '' ? owner.id : owner.name;
}

function votesOf(link: ChainLink): string {
  const votes = link['approvers'] as { id: string; name: string | null; verdict: string; comment: string | null }[];
  const said = votes.map(
    ({ id, name, verdict, comment }) =>
      `${plain(name ?? id)} ${plain(verdict)}${comment === null ? '' : ` (“${plain(comment)}”)`}`,
  );
  return said.length === 0 ? 'nobody voted' : said.join(', ');
}

/** Text of others: on one line, cut, and with everything that Markdown or HTML would act on made a character again. */
export function plain(text: string): string {
  const line = oneLine(text);
  return (
    line
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll(/[\\`*_{}[\]()#+!|~-]/g, '\\$&')
      // Bare addresses become links by themselves where Markdown is extended so.
      .replaceAll('://', ':&#47;&#47;')
      .replaceAll(/www\./gi, (www) => `${www.slice(0, 3)}&#46;`)
      .replaceAll('@', '&#64;')
      .replaceAll(/^(\d+)\./g, '$1&#46;')
  );
}

/** As code: longer fences than any inside, no line break, and no bar that would end a table's cell. */
export function code(text: string): string {
  const line = oneLine(text).replaceAll('|', '¦');
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return longest === 0 ? `${fence}${line}${fence}` : `${fence} ${line} ${fence}`;
}

/** Controls, line separators and what turns the direction of writing are left out. */
function oneLine(text: string): string {
  const clean = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  const characters = [...clean];
  return characters.length <= MAX_TEXT ? clean : `${characters.slice(0, MAX_TEXT).join('')}…`;
}

const percent = (probability: number) => `${(probability * 100).toFixed(1)} %`;
const round = (value: number) => String(Math.round(value * 100) / 100);
const signed = (value: number) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`;
