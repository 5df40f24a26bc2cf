import type { Entry } from './tree.ts';

const block = 512;
const types = { file: '0', link: '2', folder: '5' } as const;

/**
 * A tar (POSIX ustar) whose bytes depend on nothing but the entries: no time, no name of a user, no order of a file system.
 * Throws for what that form cannot say.
 */
export function tar(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    const content = entry.kind === 'file' ? entry.content : Buffer.alloc(0);
    parts.push(header(entry, content.length), content, Buffer.alloc(padding(content.length)));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

const padding = (length: number) => (block - (length % block)) % block;

function header(entry: Entry, size: number): Buffer {
  const { name, prefix } = split(entry.kind === 'folder' ? `${entry.path}/` : entry.path);
  const target = entry.kind === 'link' ? entry.target : '';
  if (Buffer.byteLength(target) > 100) throw new Error(`The link ${entry.path} leads too far for a tar.`);
  const owner = octal(entry.owner ?? 0, 8);
  const fields: readonly (readonly [offset: number, text: string])[] = [
    [0, name],
    [100, octal(entry.mode, 8)],
    [108, owner],
    [116, owner],
    [124, octal(size, 12)],
    [136, octal(0, 12)],
    [148, ' '.repeat(8)],
    [156, types[entry.kind]],
    [157, target],
    [257, 'ustar\u000000'],
    [345, prefix],
  ];
  const bytes = Buffer.alloc(block);
  for (const [offset, text] of fields) bytes.write(text, offset);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}

const octal = (value: number, width: number) => value.toString(8).padStart(width - 1, '0');

/** A path of more than 100 bytes is cut at a slash. */
function split(path: string): { readonly name: string; readonly prefix: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  const cut = path.indexOf('/', path.length - 101);
  if (cut < 0 || cut > 155 || path.length !== Buffer.byteLength(path)) throw new Error(`${path} is too long for a tar.`);
  return { name: path.slice(cut + 1), prefix: path.slice(0, cut) };
}
