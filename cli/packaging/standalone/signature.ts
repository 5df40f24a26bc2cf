/** Of a signed Node that another program is put into, the signature is wrong: whoever signs that program signs it anew. */

const securityDirectory = 4;

/** A 64-bit Windows program without the signature at its end (Microsoft, "PE Format"). */
export function withoutAuthenticode(program: Buffer): Buffer {
  const header = program.readUInt32LE(0x3c) + 4 + 20;
  if (program.readUInt16LE(header) !== 0x20b) throw new Error('No 64-bit Windows program.');
  const directory = header + 112 + securityDirectory * 8;
  const begin = program.readUInt32LE(directory);
  if (begin === 0) return program;
  if (begin + program.readUInt32LE(directory + 4) !== program.length)
    throw new Error('The signature is not at the end.');
  const result = Buffer.from(program.subarray(0, begin));
  result.fill(0, directory, directory + 8);
  // A checksum of all that nobody compares but for drivers.
  result.writeUInt32LE(0, header + 64);
  return result;
}

const segment64 = 0x19;
const codeSignature = 0x1d;

/** A 64-bit macOS program without the signature at its end (mach-o/loader.h). */
export function withoutCodeSignature(program: Buffer): Buffer {
  if (program.readUInt32LE(0) !== 0xfe_ed_fa_cf) throw new Error('No 64-bit macOS program.');
  const commands: { readonly type: number; readonly at: number; readonly size: number }[] = [];
  for (let at = 32; commands.length < program.readUInt32LE(16); at += program.readUInt32LE(at + 4)) {
    commands.push({ type: program.readUInt32LE(at), at, size: program.readUInt32LE(at + 4) });
  }
  const signature = commands.find(({ type }) => type === codeSignature);
  if (signature === undefined) return program;
  const last = commands.at(-1)!;
  const linkEdit = commands.find(
    ({ type, at }) => type === segment64 && program.toString('latin1', at + 8, at + 24).startsWith('__LINKEDIT'),
  );
  const begin = program.readUInt32LE(signature.at + 8);
  if (linkEdit === undefined || begin + program.readUInt32LE(signature.at + 12) !== program.length) {
    throw new Error('The signature is not at the end.');
  }
  const result = Buffer.from(program.subarray(0, begin));
  const end = last.at + last.size;
  result.copyWithin(signature.at, signature.at + signature.size, end);
  result.fill(0, end - signature.size, end);
  result.writeUInt32LE(commands.length - 1, 16);
  result.writeUInt32LE(program.readUInt32LE(20) - signature.size, 20);
  // If it came after the signature it has moved.
  const segment = linkEdit.at > signature.at ? linkEdit.at - signature.size : linkEdit.at;
  const size = BigInt(begin) - result.readBigUInt64LE(segment + 40);
  result.writeBigUInt64LE(size, segment + 48);
  result.writeBigUInt64LE(((size + 0x3fffn) / 0x4000n) * 0x4000n, segment + 32);
  return result;
}
