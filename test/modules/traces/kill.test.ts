import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Folder, temporaryFolder } from '../../../faults/rig/folder.ts';
import { family, isAlive, type Running, start } from '../../main/process.ts';
import { postOtlp } from './support.ts';
import { jsonSpan, jsonTraces, randomHex } from './wire.ts';

let folder: Folder;
const launched: Running[] = [];
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  for (const running of launched) if (isAlive(running.pid)) running.signal('SIGTERM');
  await Promise.all(launched.map(({ exited }) => exited));
  await folder.remove();
});

async function startHere() {
  const running = await start({ SIGNALBOX_DATA_DIR: join(folder.path, 'data') });
  launched.push(running);
  return running;
}

const CLIENTS = 4;
const SPANS_PER_REQUEST = 30;
const INGEST_MS = 1500;

/** Sends until the server is gone, some requests twice; collects the spans that were acknowledged. */
async function ingest(url: string, secret: string, acknowledged: Map<string, string>): Promise<void> {
  for (let request = 0; ; request += 1) {
    const traceId = randomHex(16);
    const spans = Array.from({ length: SPANS_PER_REQUEST }, () => jsonSpan({ traceId }));
    try {
      for (let time = 0; time <= request % 2; time += 1) {
        const { status, bytes } = await postOtlp({ url }, { secret }, 'traces', jsonTraces(spans));
        if (status !== 200 || bytes.length > 0) return;
        for (const span of spans) acknowledged.set(String(span['spanId']), String(span['traceId']));
      }
    } catch {
      return;
    }
  }
}

it('every acknowledged span is there once after a kill -9 of server and database in the middle of ingest', async () => {
  const server = await startHere();
  const demo = JSON.parse(await readFile(join(folder.path, 'data', 'demo.json'), 'utf8')) as unknown;
  const [secret] = /sbx_[\w-]{43}/.exec(JSON.stringify(demo))!;
  const acknowledged = new Map<string, string>();
  const clients = Array.from({ length: CLIENTS }, () => ingest(server.url, secret, acknowledged));
  await pause(INGEST_MS);
  const before = acknowledged.size;
  for (const pid of await family(server.pid)) process.kill(pid, 'SIGKILL');
  await Promise.all(clients);
  await server.exited;
  // Otherwise the kill did not come in the middle of anything.
  expect(before).toBeGreaterThan(CLIENTS * SPANS_PER_REQUEST);

  const again = await startHere();
  const kept = new Map<string, number>();
  const read = async (traceId: string): Promise<void> => {
    const response = await fetch(`${again.url}/api/v1/traces/${traceId}`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    const { spans = [] } = (await response.json()) as { spans?: { spanId: string }[] };
    for (const { spanId } of spans) kept.set(spanId, (kept.get(spanId) ?? 0) + 1);
  };
  const traceIds = [...new Set(acknowledged.values())];
  for (let at = 0; at < traceIds.length; at += 20) await Promise.all(traceIds.slice(at, at + 20).map(read));
  expect([...acknowledged.keys()].filter((spanId) => kept.get(spanId) !== 1)).toEqual([]);
}, 90_000);
