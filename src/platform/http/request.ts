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

/** Of an Idempotency-Key: as the document says it, and as it is held against what was sent. */
const KEY_FORM = '^[!-~]{1,200}$';
const KEY_PATTERN = new RegExp(KEY_FORM);

/** The header of operations whose route has `config: { idempotent }`, for the document. */
export const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  schema: {
    type: 'string',
    pattern: KEY_FORM,
    description:
      'Of your choice, one for each thing to be done. The same request of the same API key again gets the first answer and does nothing more; with another body, path or query it is 422 `idempotency_mismatch`.',
  },
} as const;

/**
 * The request's Idempotency-Key with what it stands for; null when none was sent. Only for routes that declare that they
 * take one: the document is made of what they declare.
 * @throws Problem 422 `idempotency_key_invalid`
 */
export function idempotentOf(request: FastifyRequest): Idempotent | null {
  const { config, schema, url } = request.routeOptions;
  if (config.idempotent === undefined) throw new Error(`route ${url} declares no \`idempotent\` in its config`);
  const key = request.headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key !== 'string' || !KEY_PATTERN.test(key)) {
    throw invalid(
      'idempotency_key_invalid',
      'An Idempotency-Key is 1 to 200 printable ASCII characters without spaces.',
    );
  }
  const idempotent = {
    key,
    operation: schema?.operationId ?? url ?? '',
    fingerprint: fingerprintOf({ params: [request.params, request.query], body: request.body ?? null }),
  };
  return config.idempotent === true ? idempotent : { ...idempotent, sealWith: bearerOf(request) ?? '' };
}

/** The bearer token of the Authorization header; null when there is none. */
export function bearerOf(request: { headers: { authorization?: string | undefined } }): string | null {
  const match = /^Bearer +([\x21-\x7e]{1,512}) *$/i.exec(request.headers.authorization ?? '');
  return match?.[1] ?? null;
}
