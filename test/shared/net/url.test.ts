import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isHttpsOrLoopback, isLoopback, serverUrlFaults } from '../../../shared/net/url.ts';

describe('loopback', () => {
  test.each([
    'localhost',
    'LOCALHOST',
    '127.0.0.1',
    '127.255.1.2',
    '::1',
    '[::1]',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '[::ffff:7f00:1]',
    '::ffff:127.9.8.7',
  ])('is %s', (host) => expect(isLoopback(host)).toBe(true));

  test.each([
    undefined,
    '',
    '::',
    '0.0.0.0',
    '::2',
    '::ffff:10.0.0.1',
    '::127.0.0.1',
    '128.0.0.1',
    '1.127.0.0',
    '127.example.com',
    '127.0.0.1.example.com',
    'localhost.example.com',
    'my-localhost',
    '127.0.0.256',
  ])('is not %s', (host) => {
    expect(isLoopback(host)).toBe(false);
  });

  test('of IPv4 is 127.0.0.0/8, in both spellings', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(isLoopback(address)).toBe(address.startsWith('127.'));
        expect(isLoopback(`::ffff:${address}`)).toBe(address.startsWith('127.'));
      }),
      { examples: [['127.0.0.1'], ['127.255.255.255'], ['126.255.255.255'], ['128.0.0.0']] },
    );
  });

  test('may be spoken to without TLS, as URL spells it, and nothing else', () => {
    const may = (text: string) => isHttpsOrLoopback(new URL(text));
    for (const text of [
      'https://a.example',
      'http://localhost:1',
      'http://[::1]:1',
      'http://127.1',
      'http://[::ffff:127.0.0.1]',
    ])
      expect([text, may(text)]).toEqual([text, true]);
    for (const text of ['http://a.example', 'http://10.0.0.1', 'ftp://localhost', 'ws://127.0.0.1', 'file:///etc'])
      expect([text, may(text)]).toEqual([text, false]);
  });
});

describe('the address of a server', () => {
  test.each([
    'https://a.example',
    'https://a.example:6443/k8s/clusters/c-1',
    'HTTPS://A.example/',
    'http://localhost:8080',
    'http://[::1]:8080',
  ])('may be %s', (text) => expect(serverUrlFaults(text)).toEqual([]));

  test.each([
    ['', ['syntax']],
    ['a.example', ['syntax']],
    ['https:a.example', ['syntax']],
    ['https:\\\\a.example', ['syntax']],
    [' https://a.example', ['syntax']],
    ['https://a.example\n', ['syntax']],
    ['https://a.exa\u200bmple', ['syntax']],
    ['https://a.example/\u202e', ['syntax']],
    ['https://', ['syntax']],
    [`https://a.example/${'x'.repeat(3000)}`, ['syntax']],
    ['http://a.example', ['scheme']],
    ['ftp://a.example', ['scheme']],
    ['https://u@a.example', ['userinfo']],
    ['https://:p@a.example', ['userinfo']],
    ['https://a.example?', ['query']],
    ['https://a.example/#', ['query']],
    ['http://u:p@a.example/?x#y', ['scheme', 'userinfo', 'query']],
  ])('%j is refused', (text, faults) => expect(serverUrlFaults(text)).toEqual(faults));
});
