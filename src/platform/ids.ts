import { v7, validate } from 'uuid';

/** A new id: UUID version 7, so that ids made later sort later and fill an index from its end. */
export function newId(): string {
  return v7();
}

/** True for the text of any UUID, in either case; says nothing about what it names. */
export function isUuid(value: string): boolean {
  return validate(value);
}
