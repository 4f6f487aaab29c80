import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { newRunner } from '../leases/support.ts';
import { shortWay } from './short-way.ts';

const { way, known } = shortWay();

it.each([
  ['in one call', 'hot_once\0', {}],
  ['under an Idempotency-Key', 'COMMIT\0', { 'idempotency-key': randomUUID() }],
])(
  'a connection that brings no answer any more is given up, and what it carried is looked up: %s',
  async (_how, at, headers) => {
    const { org, ann } = await known();
    const ben = await newRunner(org);
    Object.assign(way.proxy, { at, fate: 'go-silent' });
    const [granted, behind] = await Promise.all([
      ann.acquire({ paths: ['a'] }, headers),
      ben.acquire({ paths: ['b'] }),
    ]);
    expect([granted.status, behind.status]).toEqual([201, 201]);
    expect((await ben.acquire({ paths: ['a'] })).body.conflicts).toMatchObject([{ leaseId: granted.body.lease.id }]);
    const grants = (await org.events()).filter(({ kind }) => kind === 'lease.granted');
    expect(new Set(grants.map(({ subject }) => subject.id)).size).toBe(grants.length);
  },
);
