/** A section of an ELF program, by its header (System V ABI, "Sections"). */
interface Section {
  readonly header: Buffer;
  /** Whether it is in memory when the program runs. What is not, only a debugger reads. */
  readonly isLoaded: boolean;
  readonly begin: number;
  /** Behind its last byte in the file. */
  readonly end: number;
}

const align = (offset: number) => Math.ceil(offset / 8) * 8;

/**
 * A 64-bit little-endian ELF program without symbols and debug sections, as `strip` leaves it; that is in GNU binutils and
 * knows one architecture. Throws if it is another kind of file.
 */
export function withoutSymbols(elf: Buffer): Buffer {
  if (elf.readUInt32BE(0) !== 0x7f_45_4c_46 || elf.readUInt16BE(4) !== 0x02_01)
    throw new Error('No 64-bit ELF program.');
  const sections = sectionsOf(elf);
  const loaded = sections.filter(({ isLoaded }) => isLoaded);
  // Sections refer to each other by their place.
  const isInFront = loaded.every((section, index) => section === sections[index]);
  const names = sections[elf.readUInt16LE(0x3e)];
  if (!isInFront || names === undefined) throw new Error('A section that is not loaded stands before one that is.');
  const end = Math.max(...loaded.map((section) => section.end));
  const parts = [elf.subarray(0, end), elf.subarray(names.begin, names.end)];
  const header = Buffer.from(names.header);
  header.writeBigUInt64LE(BigInt(end), 0x18);
  const headers = [...loaded.map((section) => section.header), header];
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const result = Buffer.concat([...parts, Buffer.alloc(align(size) - size), ...headers]);
  result.writeBigUInt64LE(BigInt(align(size)), 0x28);
  result.writeUInt16LE(headers.length, 0x3c);
  result.writeUInt16LE(headers.length - 1, 0x3e);
  return result;
}

function sectionsOf(elf: Buffer): Section[] {
  const table = Number(elf.readBigUInt64LE(0x28));
  const headerSize = elf.readUInt16LE(0x3a);
  return Array.from({ length: elf.readUInt16LE(0x3c) }, (_, index) => {
    const header = elf.subarray(table + index * headerSize, table + (index + 1) * headerSize);
    const type = header.readUInt32LE(4);
    const begin = Number(header.readBigUInt64LE(0x18));
    // Of .bss there is nothing in the file; the first section is none.
    const end = type === 8 ? begin : begin + Number(header.readBigUInt64LE(0x20));
    return { header, isLoaded: type === 0 || (header.readUInt32LE(8) & 2) !== 0, begin, end };
  });
}
