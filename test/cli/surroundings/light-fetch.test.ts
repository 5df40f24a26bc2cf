import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lightFetch } from '../../../cli/surroundings/light-fetch.ts';

const classes = { ours: lightFetch, "Node's": { Headers, Response } } as const;
type Classes = (typeof classes)[keyof typeof classes];

/** What both make of the same, an error included. */
function both<T>(work: (classes: Classes) => T): Record<string, T | string> {
  const attempt = (each: Classes) => {
    try {
      return work(each);
    } catch (error) {
      return (error as Error).name;
    }
  };
  return { ours: attempt(classes.ours), theirs: attempt(classes["Node's"]) };
}

const name = fc.oneof(fc.constantFrom('Date', 'date', 'content-type', 'X-A', 'x-a', 'bad name', ''), fc.string());
const value = fc.oneof(fc.constantFrom('a', ' a ', 'a\nb', '\u0000', 'é', '€', ''), fc.string());

describe("the classes that take the place of fetch's", () => {
  it('keep, combine, sort and refuse headers as fetch does', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), name, (entries, asked) => {
        const { ours, theirs } = both(({ Headers: Made }) => {
          const headers = new Made();
          for (const [key, text] of entries) headers.append(key, text);
          return { entries: [...headers.entries()], has: has(headers, asked) };
        });
        expect(ours).toEqual(theirs);
      }),
      { numRuns: 1000 },
    );
  });

  it('are made from one another, from a record and from nothing', () => {
    const { ours, theirs } = both(({ Headers: Made }) => {
      const first = new Made({ Accept: 'application/json', 'x-b': '1' });
      const second = new Made(first as never);
      second.set('ACCEPT', 'text/plain');
      second.delete('X-B');
      return [[...first], [...second], [...new Made()], first.get('x-c'), Object.prototype.toString.call(first)];
    });
    expect(ours).toEqual(theirs);
  });

  it.each(Object.entries(classes))('%s: a body is read once, and a clone before that', async (_, made) => {
    const response = new made.Response(new TextEncoder().encode('{"a":"é"}'), {
      status: 400,
      headers: { 'Content-Type': 'application/json' },
    });
    const clone = response.clone();
    expect(await clone.json()).toEqual({ a: 'é' });
    expect([response.ok, response.status, response.bodyUsed, clone.bodyUsed]).toEqual([false, 400, false, true]);
    expect(clone.headers.get('content-type')).toBe('application/json');
    expect(await response.text()).toBe('{"a":"é"}');
    await expect(response.text()).rejects.toThrow(TypeError);
    expect(() => response.clone()).toThrow(TypeError);
    expect(Object.prototype.toString.call(response)).toBe('[object Response]');
    expect(await new made.Response(null, { status: 204 }).text()).toBe('');
  });
});

function has(headers: { has(name: string): boolean }, asked: string): boolean | 'refused' {
  // Whoever asks for an impossible name is told so by fetch, and that it is not there by us.
  return /^[!#$%&'*+.^`|~\w-]+$/.test(asked) ? headers.has(asked) : 'refused';
}
