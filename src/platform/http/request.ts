import type { FastifyRequest } from 'fastify';
import type { Idempotent } from '../database/idempotency.ts';
import { fingerprintOf } from '../database/idempotency.ts';
import { invalid } from '../errors.ts';
import type { Principal } from '../principal.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by authentication before any handler of an `org` route runs. */
    principal: Principal | null;
  }
}

/** Who makes this request. Only for routes with `org` access. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null)
    throw new Error(`route ${request.routeOptions.url} has no principal: its access is not org`);
  return request.principal;
}

const KEY_FORM = /^[\x21-\x7e]{1,200}$/;

/**
 * The request's Idempotency-Key with what it stands for; null when none was sent.
 * @throws Problem 422 `idempotency_key_invalid`
 */
export function idempotentOf(request: FastifyRequest, secret?: 'holds-secret'): Idempotent | null {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key !== 'string' || !KEY_FORM.test(key)) {
    throw invalid(
      'idempotency_key_invalid',
      'An Idempotency-Key is 1 to 200 printable ASCII characters without spaces.',
    );
  }
  const idempotent = {
    key,
    operation: request.routeOptions.schema?.operationId ?? request.routeOptions.url ?? '',
    fingerprint: fingerprintOf({ params: [request.params, request.query], body: request.body ?? null }),
  };
  return secret === undefined ? idempotent : { ...idempotent, sealWith: bearerOf(request) ?? '' };
}

/** The bearer token of the Authorization header; null when there is none. */
export function bearerOf(request: { headers: { authorization?: string | undefined } }): string | null {
  const match = /^Bearer +([\x21-\x7e]{1,512}) *$/i.exec(request.headers.authorization ?? '');
  return match?.[1] ?? null;
}
