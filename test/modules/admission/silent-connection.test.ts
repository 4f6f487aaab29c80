import { expect, it } from 'vitest';
import { newRunner } from '../leases/support.ts';
import { shortWay } from './short-way.ts';

const { way, known } = shortWay();

it.each([
  ['in one call', 'hot_once\0', { paths: ['a'] }],
  ['the general way', 'COMMIT\0', { patterns: ['a*'] }],
])(
  'a connection that brings no answer any more is given up, and what it carried is looked up: %s',
  async (_how, at, wanted) => {
    const { org, ann } = await known();
    const ben = await newRunner(org);
    Object.assign(way.proxy, { at, fate: 'go-silent' });
    const [granted, behind] = await Promise.all([ann.acquire(wanted), ben.acquire({ paths: ['b'] })]);
    expect([granted.status, behind.status]).toEqual([201, 201]);
    expect((await ben.acquire({ paths: ['a'] })).body.conflicts).toMatchObject([{ leaseId: granted.body.lease.id }]);
    const grants = (await org.events()).filter(({ kind }) => kind === 'lease.granted');
    expect(new Set(grants.map(({ subject }) => subject.id)).size).toBe(grants.length);
  },
);
