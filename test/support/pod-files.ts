import { chmod, chown, mkdir, mkdtemp, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from './cluster.ts';
import { only, type Pod, type Unknown } from './pod-spec.ts';

/** One file of a volume, before it is written. */
interface Entry {
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
}

/** The volumes of a pod as folders of this machine, laid out as kubelet does it (pkg/volume/util/atomic_writer.go). */
export interface PodFiles {
  /** Of a volume, by its name. */
  folderOf(volume: string): string;
  /** Looks again at what the volumes are made of, and renews tokens of which four fifths are over. */
  sync(): Promise<void>;
}

interface Made {
  readonly token: string;
  readonly renewAt: number;
}

/** Throws, with the API server's words, while something is missing that is not optional. */
export async function layOutVolumes(cluster: Cluster, pod: Pod, folder: string): Promise<PodFiles> {
  const { namespace } = pod.metadata;
  const { volumes = [], serviceAccountName = 'default', securityContext = {} } = pod.spec;
  const group = securityContext.fsGroup;
  const tokens = new Map<string, Made>();
  const core = (kind: string, name: string) => `/api/v1/namespaces/${namespace}/${kind}/${name}`;

  async function tokenOf(volume: string, { audience, expirationSeconds = 3600 }: Unknown): Promise<string> {
    const known = tokens.get(volume);
    if (known !== undefined && Date.now() < known.renewAt) return known.token;
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        ...(audience !== undefined && { audiences: [audience] }),
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
      },
    };
    const made = await cluster.request('POST', `${core('serviceaccounts', serviceAccountName)}/token`, body);
    const { token, expirationTimestamp } = made['status'] as { token: string; expirationTimestamp: string };
    const now = Date.now();
    tokens.set(volume, { token, renewAt: now + (Date.parse(expirationTimestamp) - now) * 0.8 });
    return token;
  }

  async function keysOf(kind: 'secrets' | 'configmaps', name: string, optional: boolean): Promise<Map<string, Buffer>> {
    try {
      const { data = {}, binaryData = {} } = (await cluster.request('GET', core(kind, name))) as Unknown;
      const of = (part: object, encoding: 'utf8' | 'base64') =>
        Object.entries(part as Record<string, string>).map(
          ([key, text]) => [key, Buffer.from(text, encoding)] as const,
        );
      return new Map([
        ...of(data as object, kind === 'secrets' ? 'base64' : 'utf8'),
        ...of(binaryData as object, 'base64'),
      ]);
    } catch (error) {
      if (optional && String(error).includes(': 404 ')) return new Map();
      throw error;
    }
  }

  async function entriesOf(volume: string, source: Unknown, usual: number): Promise<Entry[]> {
    const kind =
      source['secret'] !== undefined ? 'secrets' : source['configMap'] !== undefined ? 'configmaps' : undefined;
    if (kind !== undefined) {
      const from = (source['secret'] ?? source['configMap']) as Unknown;
      only(`volume ${volume}`, from, ['name', 'secretName', 'items', 'optional', 'defaultMode']);
      const mode = (from['defaultMode'] as number | undefined) ?? usual;
      const keys = await keysOf(kind, (from['secretName'] ?? from['name']) as string, from['optional'] === true);
      const items = from['items'] as { key: string; path: string; mode?: number }[] | undefined;
      if (items === undefined) return Array.from(keys, ([path, content]) => ({ path, content, mode }));
      return items.map(({ key, path, mode: own = mode }) => {
        const content = keys.get(key);
        if (content === undefined) throw new Error(`volume ${volume}: there is no key ${key}`);
        return { path, content, mode: own };
      });
    }
    if (source['serviceAccountToken'] !== undefined) {
      const from = source['serviceAccountToken'] as Unknown;
      only(`volume ${volume}`, from, ['audience', 'expirationSeconds', 'path']);
      const content = Buffer.from(await tokenOf(`${volume}/${String(from['path'])}`, from));
      return [{ path: from['path'] as string, content, mode: 0o600 }];
    }
    if (source['downwardAPI'] !== undefined) {
      const { items } = source['downwardAPI'] as { items: { path: string; fieldRef: { fieldPath: string } }[] };
      return items.map(({ path, fieldRef: { fieldPath } }) => ({
        path,
        content: Buffer.from(fieldPath === 'metadata.namespace' ? namespace : pod.metadata.name),
        mode: usual,
      }));
    }
    throw new Error(`volume ${volume}: ${Object.keys(source).join(', ')} is not known here`);
  }

  async function read(volume: Unknown): Promise<Entry[] | undefined> {
    const { name, ...source } = volume as { name: string } & Unknown;
    if (source['emptyDir'] !== undefined) return undefined;
    if (source['projected'] === undefined) return entriesOf(name, source, 0o644);
    const { sources, defaultMode = 0o644 } = source['projected'] as { sources: Unknown[]; defaultMode?: number };
    const all: Entry[] = [];
    for (const each of sources) all.push(...(await entriesOf(name, each, defaultMode)));
    return all;
  }

  const folderOf = (volume: string) => join(folder, volume);

  async function give(path: string, mode: number): Promise<void> {
    // What has a group is readable for it, as kubelet's SetVolumeOwnership has it. Else tokens belong to who runs the pod.
    if (group === undefined) {
      if (mode === 0o600 && securityContext.runAsUser !== undefined) await chown(path, securityContext.runAsUser, 0);
      await chmod(path, mode);
      return;
    }
    await chown(path, 0, group);
    await chmod(path, mode | 0o440);
  }

  async function sync(): Promise<void> {
    for (const volume of volumes) {
      const target = folderOf(volume['name'] as string);
      await mkdir(target, { recursive: true, mode: 0o755 });
      const entries = await read(volume);
      if (entries === undefined) {
        if (group !== undefined) await chown(target, 0, group);
        await chmod(target, group === undefined ? 0o777 : 0o2775);
      } else await replace(target, entries, give);
    }
  }
  await sync();
  return { folderOf, sync };
}

/** All files at once: a new folder beside the old one, and one rename of the link `..data`. */
async function replace(target: string, entries: readonly Entry[], give: (path: string, mode: number) => Promise<void>) {
  const old = await readlink(join(target, '..data')).catch(() => undefined);
  const next = await mkdtemp(join(target, `..${new Date().toISOString().replaceAll(/[:.]/g, '_')}.`));
  await chmod(next, 0o755);
  for (const { path, content, mode } of entries) {
    if (path.includes('/')) throw new Error(`a path with folders is not known here: ${path}`);
    await writeFile(join(next, path), content);
    await give(join(next, path), mode);
  }
  const name = next.slice(target.length + 1);
  await rm(join(target, '..data_tmp'), { force: true });
  await symlink(name, join(target, '..data_tmp'));
  await rename(join(target, '..data_tmp'), join(target, '..data'));
  const wanted = new Set(entries.map(({ path }) => path));
  const there = (await readdir(target)).filter((each) => !each.startsWith('..'));
  for (const path of there) if (!wanted.has(path)) await rm(join(target, path));
  for (const path of wanted) if (!there.includes(path)) await symlink(`..data/${path}`, join(target, path));
  if (old !== undefined) await rm(join(target, old), { recursive: true });
}
