import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import type { Architecture } from './architecture.ts';
import { tar } from './tar.ts';
import { complete, type Entry, file } from './tree.ts';

/** https://github.com/opencontainers/image-spec: what an image is made of, by its sum. */
interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: 'linux'; readonly variant?: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Blob {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

/** A layer as it is sent, and the sum of what it unpacks to. */
export interface Layer {
  readonly blob: Blob;
  readonly diffId: string;
  readonly madeBy: string;
}

/** How a container of an image is started. */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd: readonly string[];
  readonly WorkingDir: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly StopSignal: string;
}

export interface Image {
  readonly architecture: Architecture;
  readonly config: ImageConfig;
  readonly layers: readonly Layer[];
}

const type = (name: string) => `application/vnd.oci.image.${name}`;
const sum = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

function blobOf(mediaType: string, bytes: Buffer): Blob {
  return { bytes, descriptor: { mediaType, digest: sum(bytes), size: bytes.length } };
}

/** Throws for a path that the layer has twice. */
export async function layerOf(entries: readonly Entry[], madeBy: string): Promise<Layer> {
  const bytes = tar(complete(entries));
  const diffId = sum(bytes);
  const gzipped = compressed.get(diffId) ?? gzip(bytes);
  compressed.set(diffId, gzipped);
  return { blob: blobOf(type('layer.v1.tar+gzip'), await gzipped), diffId, madeBy };
}

/** By the sum of what it is of: most of the time of a build goes into this. */
const compressed = new Map<string, Promise<Buffer>>();

/** By GNU's program: what Node has of zlib makes other bytes on another processor. */
async function gzip(bytes: Buffer): Promise<Buffer> {
  const child = spawn('gzip', ['-6', '-n', '-c'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  const code = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(bytes);
  if ((await code) !== 0) throw new Error('gzip has failed');
  return Buffer.concat(parts);
}

/**
 * One image for several architectures as an OCI layout in a tar, as `skopeo copy oci-archive:…` takes it. `created`: RFC 3339,
 * the one time in it.
 */
export function archive(
  images: readonly Image[],
  { name, created, annotations }: { name: string; created: string; annotations: Readonly<Record<string, string>> },
): { readonly bytes: Buffer; readonly digest: string } {
  const blobs = new Map<string, Buffer>();
  const add = ({ bytes, descriptor }: Blob): Descriptor => {
    blobs.set(descriptor.digest, bytes);
    return descriptor;
  };
  const manifests = images.map(({ architecture, config, layers }): Descriptor => {
    const document = {
      created,
      architecture,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(({ madeBy }) => ({ created, created_by: madeBy })),
    };
    const manifest = {
      schemaVersion: 2,
      mediaType: type('manifest.v1+json'),
      config: add(json('config.v1+json', document)),
      layers: layers.map(({ blob }) => add(blob)),
      annotations,
    };
    return { ...add(json('manifest.v1+json', manifest)), platform: { architecture, os: 'linux' } };
  });
  const index = json('index.v1+json', { schemaVersion: 2, mediaType: type('index.v1+json'), manifests, annotations });
  const top = {
    schemaVersion: 2,
    mediaType: type('index.v1+json'),
    manifests: [{ ...add(index), annotations: { 'org.opencontainers.image.ref.name': name } }],
  };
  const entries = complete([
    file('oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' })),
    file('index.json', JSON.stringify(top)),
    ...Array.from(blobs, ([digest, bytes]) => file(`blobs/${digest.replace(':', '/')}`, bytes)),
  ]);
  return { bytes: tar(entries), digest: index.descriptor.digest };
}

const json = (name: string, document: object): Blob => blobOf(type(name), Buffer.from(JSON.stringify(document)));
