import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { brokerIdentity, describeDestinations, newDestinations } from '../../../cli/session/destinations.ts';
import { createAuthority } from '../../support/certificates.ts';
import { sessionBed } from '../../support/sessions.ts';

const bed = sessionBed();

test('a known broker behind another authority is a new destination', async () => {
  const [one, other] = [join(bed.base, 'one.pem'), join(bed.base, 'other.pem')];
  await writeFile(one, (await createAuthority()).cert);
  await writeFile(other, (await createAuthority()).cert);
  const broker = (certificateAuthority: string | undefined) =>
    brokerIdentity({ url: 'https://broker.example.com/x', certificateAuthority });
  const first = await broker(one);
  expect(first).toMatch(/^https:\/\/broker\.example\.com [0-9a-f]{16}$/);
  expect(await broker(one)).toBe(first);
  const session = { ...(await bed.begin(bed.open())), clusters: [String(first)] };
  expect(newDestinations(session, { cluster: undefined, broker: first })).toEqual([]);
  for (const changed of [await broker(other), await broker(undefined)]) {
    const [found] = newDestinations(session, { cluster: undefined, broker: changed });
    expect(found?.text).toMatch(/^the broker https:\/\/broker\.example\.com, whose certificate authority/);
  }
});

test('a sign-in is for a cluster, through a broker, or for nothing that it could name', () => {
  expect(describeDestinations({ cluster: 'https://a:6443 0123456789abcdef', broker: 'https://b' })).toBe(
    'for the cluster https://a:6443 through the broker https://b',
  );
  expect(describeDestinations({ cluster: undefined })).toBe('');
});
