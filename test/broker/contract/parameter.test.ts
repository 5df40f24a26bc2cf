import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readParameters } from '../../../broker/contract/parameter.ts';
import {
  kubeconfigQuery,
  leasePath,
  leasesQuery,
  questionForm,
  revokeForm,
  tokenForm,
  tokenHeaders,
} from '../../../broker/contract/requests.ts';
import { KleisError } from '../../../shared/errors.ts';
import { judgeOf } from '../../support/contract.ts';

const tables = { questionForm, tokenForm, tokenHeaders, revokeForm, leasesQuery, kubeconfigQuery, leasePath };
const parameters = Object.entries(tables).flatMap(([table, each]) =>
  Object.entries(each).map(([name, parameter]) => ({ table, name, parameter })),
);

/** Whether it is read; a fault that is none of a caller's is one of ours. */
function isTaken(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(KleisError);
    expect((error as KleisError).status).toBeLessThan(500);
    return false;
  }
}

describe('a parameter', () => {
  // Not empty: that counts as left out. Blanks are tolerated around some and no part of what to send.
  const unit = fc.oneof(
    fc.constantFrom('a', 'Z', '0', '1', '9', '-', '.', ':', '"', "'", '%', '/'),
    fc.string({ minLength: 1, maxLength: 1 }),
  );
  const text = fc
    .string({ unit, minLength: 1, maxLength: 8 })
    .map((each) => each.trim())
    .filter((each) => each !== '');

  it.each(parameters)('$table $name takes what its schema takes, and nothing else', ({ name, parameter }) => {
    const { schema, read, example } = parameter;
    const judge = judgeOf(schema);
    const {
      enum: words = [],
      maxLength = 0,
      maximum = 0,
    } = schema as { enum?: string[]; maxLength?: number; maximum?: number };
    const edges = [
      ...words,
      ...[maxLength, maxLength + 1].filter((length) => length > 1).map((length) => 'x'.repeat(length)),
      ...['a'.repeat(63), 'a'.repeat(64), 'a'.repeat(128), 'a'.repeat(129), 'a'.repeat(256), 'a'.repeat(257)],
      ...[0, 1, -1, maximum, maximum + 1, 1.5].map(String),
      ...['00', '01', '+1', '1e2', '0x1', '9'.repeat(20), 'null', 'true'],
      ...(example === undefined ? [] : [String(example)]),
    ];
    const agrees = (sent: string) => {
      const value = schema['type'] === 'integer' ? (/^(?:0|-?[1-9]\d*)$/.test(sent) ? Number(sent) : sent) : sent;
      expect([sent, isTaken(() => read(sent, name))]).toEqual([sent, judge(value)]);
    };
    for (const edge of edges) agrees(edge);
    fc.assert(fc.property(text, agrees));
    if (example !== undefined) expect(judge(example)).toBe(true);
  });

  it.each(parameters)('$table $name is there, or its schema says that it need not be', ({ name, parameter }) => {
    const { required, read, schema } = parameter;
    expect(isTaken(() => read(undefined, name))).toBe(!required);
    if ('default' in schema) expect(read(undefined, name)).toBe(schema['default']);
  });

  it('is read in the order of the table, so that the first fault is told', () => {
    const sent: Record<string, string> = { grant_type: 'x', requested_token_type: 'x', resource: 'x', scope: 'a b' };
    const told = [];
    for (const name of [
      'grant_type',
      'requested_token_type',
      'resource',
      'subject_token',
      'subject_token_type',
      'scope',
    ]) {
      try {
        readParameters(tokenForm, (each) => sent[each]);
      } catch (error) {
        told.push((error as KleisError).code);
      }
      delete sent[name];
      if (name === 'grant_type') sent[name] = String(tokenForm.grant_type.example);
      if (name === 'subject_token') sent[name] = 'a.b.c';
      if (name === 'subject_token_type') sent[name] = String(tokenForm.subject_token_type.example);
    }
    expect(told).toEqual([
      'grant_type_unsupported',
      'request_unsupported',
      'target_invalid',
      'request_malformed',
      'request_malformed',
      'scope_invalid',
    ]);
  });
});
