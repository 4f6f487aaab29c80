import { expect, it } from 'vitest';
import { compileFairly } from '../../../src/modules/leases/request.ts';

it('many patterns are compiled in turns with everything else', async () => {
  let turns = 0;
  let isDone = false;
  const others = (): void => {
    turns += 1;
    if (!isDone) setImmediate(others);
  };
  setImmediate(others);
  await compileFairly(Array.from({ length: 200 }, (_, at) => `src/{a,b}/**/${at}*.ts`));
  isDone = true;
  expect(turns).toBeGreaterThanOrEqual(20);
});
