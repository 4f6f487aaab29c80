import { expect, it } from 'vitest';
import { held, queue, waitingLine } from './line.ts';
import { REPO } from './support.ts';

const { crew } = waitingLine();

it.each([
  ['a path, by the path', { paths: ['src/a.ts'] }, { paths: ['src/a.ts'] }],
  ['a path, by its other spelling', { paths: ['src/\u00e9'] }, { paths: ['src/e\u0301'] }],
  ['a path, by a pattern', { paths: ['src/a.ts'] }, { patterns: ['*/?.ts'] }],
  ['a path, by the one of two that is a pattern', { paths: ['b/a.ts'] }, { paths: ['c'], patterns: ['b/**'] }],
  ['the last of many paths', { paths: ['m', 'n', 'o', 'p'] }, { paths: ['p'] }],
  ['a pattern, by a path', { patterns: ['*/?.ts'] }, { paths: ['src/a.ts'] }],
  ['a pattern, by another', { patterns: ['src/**'] }, { patterns: ['**/a.ts'] }],
  ['a pattern beside a path', { paths: ['c'], patterns: ['src/**'] }, { paths: ['src/a.ts'] }],
  ['a resource', { resources: ['port:5432'] }, { resources: ['port:5432'] }],
  ['a resource beside a path', { paths: ['c'], resources: ['port:5432'] }, { paths: ['d'], resources: ['port:5432'] }],
])('a cycle is closed by whoever holds %s', async (_what, holds, wants) => {
  const [, ann, bob] = await crew(2);
  await held(ann!, { paths: ['nobody/wants/it'] });
  await held(ann!, holds);
  await held(bob!, { paths: ['x'] });
  await queue(bob!, wants);
  expect(await ann!.acquire({ paths: ['x'], waitSeconds: 1 })).toMatchObject({
    status: 409,
    body: { code: 'lease_deadlock', cycle: [{}, {}] },
  });
});

it('a cycle is closed by whoever holds a path that is written otherwise where case does not count', async () => {
  const [org, ann, bob] = await crew(2);
  const [{ id }] = (await org.admin.get(`/repos?name=${REPO}`)).body.items;
  await org.admin.patch(`/repos/${id}`, { caseSensitive: false });
  await held(ann!, { paths: ['SRC/a.ts'] });
  await held(bob!, { paths: ['x'] });
  await queue(bob!, { paths: ['src/A.ts'] });
  expect((await ann!.acquire({ paths: ['x'], waitSeconds: 1 })).body).toMatchObject({ code: 'lease_deadlock' });
});

it('what nobody waits for closes none, however like it is', async () => {
  const [, ann, bob, cid, dan] = await crew(4);
  await held(ann!, { paths: ['port:5432', 'src/a.ts'], patterns: ['docs/*.md'] });
  await held(bob!, { paths: ['x'], resources: ['port:5432'] });
  await held(cid!, { paths: ['src/a.tsx', 'docs/a.mdx'] });
  await queue(bob!, { paths: ['src/a.tsx', 'docs/a.mdx'] });
  await queue(dan!, { resources: ['port:5432'] });
  expect((await ann!.acquire({ paths: ['x'], waitSeconds: 0.001 })).status).toBe(202);
});
