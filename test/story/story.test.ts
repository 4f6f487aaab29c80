import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runStory, type StoryReport } from '../../scripts/story/run-story.ts';
import { traceIdOf } from '../../scripts/story/spans.ts';
import { SYSTEM_ID } from '../../src/platform/principal.ts';
import { type Caller, ROOT_KEY, startTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let stories: [StoryReport, StoryReport];
const lines: [string[], string[]] = [[], []];

beforeAll(async () => {
  server = await startTestServer();
  // One moment for both: the same names, the same files, the same commits, in two orgs.
  const at = new Date();
  const play = (printed: string[]) =>
    runStory({ url: server.url, key: { root: ROOT_KEY }, at, print: (line) => printed.push(line) });
  // Both to their ends, also when one of them fails: the server must not go while the other still plays.
  const [one, two] = await Promise.allSettled([play(lines[0]), play(lines[1])]);
  if (one.status === 'rejected') throw one.reason;
  if (two.status === 'rejected') throw two.reason;
  stories = [one.value, two.value];
}, 60_000);
afterAll(() => server?.close());

const admin = (story: StoryReport): Caller => server.caller(story.adminKey);
const commitsOf = ({ landed }: StoryReport) => new Set(landed.map(({ commit }) => commit));

/** Ids, trace ids, and hashes of events: whatever the server made up, for one org only. */
function madeUp({ heard }: StoryReport, except: ReadonlySet<string>): Set<string> {
  const uuids = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
  const digits = /(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])/g;
  const found = heard.flatMap((text) => [...(text.match(uuids) ?? []), ...(text.match(digits) ?? [])]);
  return new Set(found.filter((id) => !except.has(id)));
}

describe('the story, in two orgs at once', () => {
  it('happens in both, under the same names and with the same commits', () => {
    const [one, two] = stories;
    expect(one.org.id).not.toBe(two.org.id);
    expect(one.landed).toHaveLength(4);
    expect(commitsOf(two)).toEqual(commitsOf(one));
    expect(new Set(two.landed.map(({ loop }) => loop.name))).toEqual(
      new Set(['triage', 'refactoring', 'dependencies']),
    );
  });

  it('is printed as a timeline, event by event', () => {
    stories.forEach(({ events }, index) => {
      const text = lines[index]!;
      const numbers = text.flatMap((line) => /^[\d:.]{12} +#(\d+) {2}/.exec(line)?.[1] ?? []).map(Number);
      expect(numbers).toEqual(events.map(({ seq }) => seq));
      expect(numbers).toEqual(events.map((_event, at) => at + 1));
      expect(text.join('\n')).toContain('refused: both would touch services/checkout/cart.ts');
      expect(text.join('\n')).toContain('denied: Frozen until the books are closed.');
    });
  });

  it('tells nobody anything of the other org', () => {
    // Digests of what both wrote alike are alike, and so is the system itself; nothing else may be.
    const definitions = stories[0].heard.flatMap((text) => text.match(/(?<="digest":")[0-9a-f]{64}/g) ?? []);
    const common = new Set([SYSTEM_ID, ...definitions]);
    const [one, two] = stories.map((story) => madeUp(story, common));
    expect(one!.size).toBeGreaterThan(100);
    expect([...one!].filter((id) => two!.has(id))).toEqual([]);
    expect(stories[0].heard.join()).not.toContain(stories[1].org.slug);
    expect(stories[1].heard.join()).not.toContain(stories[0].org.slug);
  });

  it('leaves nothing that the other org could find by its id', async () => {
    for (const [mine, theirs] of [stories, stories.toReversed() as typeof stories]) {
      const paths = [
        `/deploys/${theirs.deployId}`,
        `/incidents/${theirs.incidentId}`,
        `/incidents/${theirs.incidentId}/suspects`,
        ...theirs.landed.map(({ id }) => `/changes/${id}`),
        ...theirs.landed.flatMap(({ loop }) => [`/loops/${loop.id}`, `/runs/${loop.run.id}`]),
        ...theirs.traceparents.map((traceparent) => `/traces/${traceIdOf(traceparent)}`),
        ...theirs.events.filter(({ kind }) => kind === 'lease.granted').map(({ subject }) => `/leases/${subject.id}`),
        ...theirs.events
          .filter(({ kind }) => kind === 'approval.opened')
          .map(({ subject }) => `/approvals/${subject.id}`),
      ];
      for (const path of paths) {
        expect((await admin(theirs).get(path)).status, path).toBe(200);
        expect((await admin(mine).get(path)).status, path).toBe(404);
      }
    }
  });

  it('leaves in each org the one story that it had', async () => {
    const counts = { members: 3, loops: 3, runs: 3, changes: 4, traces: 3, deploys: 1, incidents: 1, approvals: 2 };
    for (const story of stories) {
      for (const [list, count] of Object.entries(counts))
        expect((await admin(story).get(`/${list}`)).body.items, list).toHaveLength(count);
      const { body } = await admin(story).get('/context?repo=acme/shop');
      const known = new Set(story.landed.map(({ id }) => id));
      expect(new Set(body.recent.map(({ changeId }: { changeId: string }) => changeId))).toEqual(known);
      expect(body.active).toEqual([]);
    }
  });
});
