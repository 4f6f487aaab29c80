import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, stopChild } from '../lib/harness.ts';
import type { Job } from '../lib/job.ts';

const PROGRAM = 'etcd';
const READY_WITHIN_MS = 20_000;

/** A durable single-node etcd of its own, if `etcd` is on PATH; null if it is not. Nothing is installed here. */
export async function startEtcd(): Promise<(Child & { close(): Promise<void> }) | null> {
  const dataDir = await mkdtemp(join(tmpdir(), 'signalbox-bench-etcd-'));
  const [port, peerPort] = [await freePort(), await freePort()];
  const [client, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
  const urls = ['--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peer];
  const cluster = ['--initial-advertise-peer-urls', peer, '--initial-cluster', `bench=${peer}`];
  const args = ['--name', 'bench', '--data-dir', dataDir, ...urls, ...cluster, '--log-level', 'error'];
  const child = spawn(PROGRAM, args, { stdio: 'ignore' });
  const removeData = () => rm(dataDir, { recursive: true, force: true });
  const started = await Promise.race([
    once(child, 'spawn').then(() => true),
    once(child, 'error').then(() => false),
  ]).catch(() => false);
  if (!started) {
    await removeData();
    return null;
  }
  const close = async () => {
    await stopChild({ port, process: child });
    await removeData();
  };
  try {
    await ready(client);
  } catch (error) {
    await close();
    throw error;
  }
  return { port, process: child, close };
}

/**
 * Create if absent, through the JSON gateway: the nearest that etcd has to an acquire. Its keys and values are base64,
 * and eight digits are that as they stand: each number another key.
 */
export function createIfAbsent(port: number): Pick<Job, 'port' | 'path' | 'headers' | 'body' | 'expect'> {
  const key = 'bGVhc2Vz{n}';
  const value = Buffer.from(JSON.stringify({ repo: 'acme/shop', holder: crypto.randomUUID(), purpose: 'bench' }));
  const body = {
    compare: [{ target: 'VERSION', key, result: 'EQUAL', version: '0' }],
    success: [{ requestPut: { key, value: value.toString('base64') } }],
  };
  const expect = { status: 200, text: '"succeeded":true' };
  return { port, path: '/v3/kv/txn', headers: {}, body: JSON.stringify(body), expect };
}

async function ready(url: string): Promise<void> {
  const until = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const healthy = await fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (healthy) return;
    if (Date.now() > until) throw new Error('etcd was not ready in time');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
