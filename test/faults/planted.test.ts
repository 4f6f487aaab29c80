import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { check } from '../../faults/checker/check.ts';
import { PLANTED } from '../../faults/planted/bugs.ts';
import { apply, ROOT } from '../../faults/rig/build.ts';
import { type Folder, temporaryFolder } from '../../faults/rig/folder.ts';
import { Scene } from './scene.ts';

let folder: Folder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder?.remove());

let copies = 0;
async function copyOfTheTree(): Promise<string> {
  const copy = path.join(folder.path, String((copies += 1)));
  for (const name of ['src/modules', 'prisma'])
    await cp(path.join(ROOT, name), path.join(copy, name), { recursive: true });
  return copy;
}

describe('the planted bugs', () => {
  it.each(PLANTED)('$name: can still be planted', async ({ edits }) => {
    const copy = await copyOfTheTree();
    for (const edit of edits) await apply(copy, edit);
  });

  it('name invariants that there are', () => {
    const invariants = check(new Scene().evidence()).map(({ invariant }) => invariant);
    for (const { breaks } of PLANTED) expect(invariants).toEqual(expect.arrayContaining([...breaks]));
  });

  it('are refused when what they change is not there, or twice', async () => {
    const edit = { under: 'some', find: 'a', replace: 'b' };
    const write = (name: string, content: string) => writeFile(path.join(folder.path, 'some', name), content);
    await mkdir(path.join(folder.path, 'some'));
    await write('x.ts', 'c');
    await expect(apply(folder.path, edit)).rejects.toThrow('some holds this no more');
    await write('y.ts', 'aa');
    await expect(apply(folder.path, edit)).rejects.toThrow('more than once');
    await write('y.ts', 'cac');
    await write('z.ts', 'a');
    await expect(apply(folder.path, edit)).rejects.toThrow('more than once');
    await write('z.ts', 'z');
    await apply(folder.path, edit);
    expect(await readFile(path.join(folder.path, 'some/y.ts'), 'utf8')).toBe('cbc');
  });
});
