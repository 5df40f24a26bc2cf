import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readClientSecret, readCookieKeys } from '../../../broker/config/web-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'kleis-web-files-'));
let count = 0;
const file = (text: string, mode = 0o600): string => {
  const path = join(folder, String((count += 1)));
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
};
const key = randomBytes(32);

describe('a file of keys', () => {
  it.each([
    ['base64', key.toString('base64')],
    ['base64url', key.toString('base64url')],
    ['comments and blank lines', `# the key\r\n\r\n  ${key.toString('base64')}  \r\n`],
  ])('may be written as %s', (_, text) => {
    expect(readCookieKeys(file(text)).map((each) => Buffer.from(each))).toEqual([key]);
  });

  it('keeps the order of its lines: the first seals', () => {
    const other = randomBytes(32);
    const found = readCookieKeys(file(`${other.toString('base64')}\n${key.toString('base64')}\n`));
    expect(found.map((each) => Buffer.from(each))).toEqual([other, key]);
  });

  it.each([
    ['empty', '', /holds no key/],
    ['of comments', '# none\n', /holds no key/],
    ['with a short key', randomBytes(31).toString('base64'), /line 1 .* is not 32 bytes/],
    ['with a long key', randomBytes(33).toString('base64'), /line 1 .* is not 32 bytes/],
    ['with a pass phrase', 'correct horse battery staple correct horse 1', /line 1 .* is not 32 bytes/],
    ['with a wrong second line', `${key.toString('base64')}\nx`, /line 2 .* is not 32 bytes/],
    ['with too many', `${key.toString('base64')}\n`.repeat(9), /more than 8/],
  ])('%s is refused, and nothing of it is quoted', (_, text, message) => {
    const path = file(text);
    expect(() => readCookieKeys(path)).toThrow(message);
    try {
      readCookieKeys(path);
    } catch (error) {
      for (const line of text.split('\n').filter((each) => each.length > 8)) expect(String(error)).not.toContain(line);
    }
  });

  it('that everybody may read is refused, one for a group is not: so a cluster mounts it', () => {
    expect(() => readCookieKeys(file(key.toString('base64'), 0o644))).toThrow(/can be read by everybody/);
    expect(readCookieKeys(file(key.toString('base64'), 0o640))).toHaveLength(1);
    expect(() => readCookieKeys(join(folder, 'absent'))).toThrow(/does not exist/);
  });
});

describe('the secret of the client', () => {
  it('is one line', () => {
    expect(readClientSecret(file('a secret\n'))).toBe('a secret');
    expect(() => readClientSecret(file('one\ntwo\n'))).toThrow(/not one line/);
    expect(() => readClientSecret(file('\n'))).toThrow(/not one line/);
    expect(() => readClientSecret(file('secret', 0o604))).toThrow(/can be read by everybody/);
  });
});
