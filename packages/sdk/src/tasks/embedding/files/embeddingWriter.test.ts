/** @file Tests of files of embeddings, read back by this project's own readers and, where it is there, by Python. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { readSafetensors } from '../../../adapter/formats/safetensors.ts';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { embeddingWriter } from './embeddingWriter.ts';
import { npyHeader } from './npz.ts';
import { ZipFile } from './zipFile.ts';

const ids = ['a', 'sp|P69905|HBA_HUMAN', 'é "quoted"\\', '🧬'];
const answers = ids.map((id, i) => ({ id, embedding: Float32Array.of(i, 0.5 * i, -i) }));
const residues = ids.flatMap((id, i) =>
  Array.from({ length: i + 1 }, (_, at) => ({ id, position: at + 1, residue: 'A', embedding: Float32Array.of(i, at) })),
);

describe('a .npz file', () => {
  it('has embeddings and ids', async () => {
    const path = await written('x.npz', 'whole', answers);
    const members = membersOf(readFileSync(path));
    expect([...members.keys()]).toEqual(['embeddings.npy', 'ids.npy']);
    const { header, data } = parseNpy(members.get('embeddings.npy')!);
    expect(header).toBe("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }");
    expect([...new Float32Array(data.buffer, data.byteOffset, 12)]).toEqual(
      answers.flatMap(({ embedding }) => [...embedding]),
    );
    const names = parseNpy(members.get('ids.npy')!);
    expect(names.header).toBe("{'descr': '<U19', 'fortran_order': False, 'shape': (4,), }");
    const texts = ids.map((_, i) => {
      const points = Array.from({ length: 19 }, (__, at) => names.data.readUInt32LE(4 * (19 * i + at)));
      return String.fromCodePoint(...points).replace(/\0+$/, '');
    });
    expect(texts).toEqual(ids);
    expect(readdirSync(join(path, '..'))).toEqual(['x.npz']);
    isSound(path);
  });

  it('has an array per sequence for residues', async () => {
    const path = await written('x.npz', 'position', residues);
    const members = membersOf(readFileSync(path));
    expect([...members.keys()]).toEqual(['a.npy', 'sp|P69905|HBA_HUMAN.npy', 'é "quoted"_.npy', '🧬.npy']);
    const { header, data } = parseNpy(members.get('🧬.npy')!);
    expect(header).toContain("'shape': (4, 2)");
    expect([...new Float32Array(data.buffer, data.byteOffset, 8)]).toEqual([3, 0, 3, 1, 3, 2, 3, 3]);
    isSound(path);
  });

  it('gives no name that leads out of a folder, and none twice', async () => {
    const vector = { position: 1, embedding: Float32Array.of(1) };
    const path = await written('x.npz', 'position', [
      { id: '../../etc/passwd', ...vector },
      { id: 'C:\\x', ...vector },
    ]);
    expect([...membersOf(readFileSync(path)).keys()]).toEqual(['__.._etc_passwd.npy', 'C:_x.npy']);
    await expect(written('y.npz', 'position', [{ id: 'a/b', ...vector }, { id: 'a_b', ...vector }])).rejects.toThrow('Two sequences are called "a_b"'); // prettier-ignore
  });

  it('counts more members than 16 bits can', async () => {
    const path = join(folder(), 'many.npz');
    const zip = await ZipFile.create(path);
    for (let i = 0; i < 66_000; i++) await zip.add(`${i}`, 1, [Uint8Array.of(i % 256)]);
    await zip.finish();
    const bytes = readFileSync(path);
    const members = membersOf(bytes);
    expect(members.size).toBe(66_000);
    expect([...members.get('65999')!]).toEqual([65_999 % 256]);
    const count = 'import sys, zipfile; print(len(zipfile.ZipFile(sys.argv[1]).namelist()))';
    expect(python(['-c', count, path]) ?? '66000').toContain('66000');
  });
});

describe('a .safetensors file', () => {
  it('has embeddings and ids', async () => {
    const { tensors, metadata } = await readSafetensors(await written('x.safetensors', 'whole', answers));
    expect(JSON.parse(metadata['ids']!)).toEqual(ids);
    const { dims, data } = tensors.get('embeddings')!;
    expect([dims, [...data]]).toEqual([[4, 3], answers.flatMap(({ embedding }) => [...embedding])]);
  });

  it('has a tensor per sequence for residues', async () => {
    const { tensors } = await readSafetensors(await written('x.safetensors', 'position', residues));
    expect([...tensors.keys()]).toEqual(ids);
    expect(tensors.get('🧬')).toMatchObject({ dims: [4, 2], data: Float32Array.of(3, 0, 3, 1, 3, 2, 3, 3) });
    await expect(written('y.safetensors', 'position', [{ ...residues[0]!, id: '__metadata__' }])).rejects.toThrow('__metadata__'); // prettier-ignore
  });

  it('may be empty', async () => {
    const empty = await readSafetensors(await written('x.safetensors', 'position', []));
    expect(empty.tensors.size).toBe(0);
    const none = await readSafetensors(await written('x.safetensors', 'whole', []));
    expect(none.tensors.get('embeddings')!.dims).toEqual([0, 0]);
    expect(parseNpy(membersOf(readFileSync(await written('x.npz', 'whole', []))).get('ids.npy')!).header).toContain(
      '(0,)',
    );
  });
});

it('leaves nothing behind when it is given up, or gets what it cannot hold', async () => {
  for (const ending of ['npz', 'safetensors']) {
    for (const of of ['whole', 'position'] as const) {
      const root = folder();
      const writer = embeddingWriter(join(root, `x.${ending}`), of)!;
      await writer.write(residues[0]!);
      await writer.abort();
      expect(readdirSync(root)).toEqual([]);
    }
  }
  await expect(written('x.npz', 'whole', [answers[0]!, residues[0]!])).rejects.toThrow(
    'has 2 numbers, and others have 3',
  );
  await expect(written('x.npz', 'whole', [{ id: 'a', score: 1 }])).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  expect(embeddingWriter('x.csv', 'whole')).toBeUndefined();
  await embeddingWriter('x.npz', 'whole')!.abort();
});

it('fills headers up to 64 bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 5 }), (dims) => {
      expect(npyHeader('<f4', dims).length % 64).toBe(0);
    }),
  );
});

async function written(
  name: string,
  of: 'whole' | 'position',
  all: readonly Record<string, unknown>[],
): Promise<string> {
  const path = join(folder(), name);
  const writer = embeddingWriter(path, of)!;
  try {
    for (const answer of all) await writer.write(answer);
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await writer.finish();
  return path;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'onnx-lora-embeddings-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The members of a zip file by its directory, their check sums checked. */
function membersOf(bytes: Buffer): Map<string, Buffer> {
  const end = bytes.length - 22;
  expect(bytes.readUInt32LE(end)).toBe(0x0605_4b50);
  let count = bytes.readUInt16LE(end + 10);
  let at = bytes.readUInt32LE(end + 16);
  if (count === 0xffff) {
    expect(bytes.readUInt32LE(end - 20)).toBe(0x0706_4b50);
    const wide = Number(bytes.readBigUInt64LE(end - 12));
    expect(bytes.readUInt32LE(wide)).toBe(0x0606_4b50);
    count = Number(bytes.readBigUInt64LE(wide + 32));
    at = Number(bytes.readBigUInt64LE(wide + 48));
  }
  const members = new Map<string, Buffer>();
  for (let i = 0; i < count; i++) {
    const [sum, size, length, extra, place] = [bytes.readUInt32LE(at + 16), bytes.readUInt32LE(at + 20), bytes.readUInt16LE(at + 28), bytes.readUInt16LE(at + 30), bytes.readUInt32LE(at + 42)]; // prettier-ignore
    const name = bytes.toString('utf8', at + 46, at + 46 + length);
    const begin = place + 30 + bytes.readUInt16LE(place + 26) + bytes.readUInt16LE(place + 28);
    const content = bytes.subarray(begin, begin + size);
    if (crc32(content) !== sum || bytes.readUInt32LE(place + 14) !== sum) throw new Error(`${name} is damaged`);
    members.set(name, content);
    at += 46 + length + extra;
  }
  return members;
}

function parseNpy(bytes: Buffer): { header: string; data: Buffer } {
  expect(bytes.toString('latin1', 0, 8)).toBe('\u0093NUMPY\u0001\0');
  const length = bytes.readUInt16LE(8);
  expect((10 + length) % 64).toBe(0);
  const header = bytes.toString('latin1', 10, 10 + length);
  expect(header.at(-1)).toBe('\n');
  // A copy is aligned.
  return { header: header.trimEnd(), data: Buffer.from(Uint8Array.from(bytes.subarray(10 + length)).buffer) };
}

/** Python's own reader of zip files finds nothing wrong, where there is Python. */
function isSound(path: string): void {
  const out = python(['-m', 'zipfile', '-t', path]) ?? 'Done testing';
  expect(out).toContain('Done testing');
  expect(out).not.toContain('corrupt');
}

/** Output of a Python program; undefined without Python. */
function python(args: readonly string[]): string | undefined {
  try {
    return execFileSync('python3', args, { encoding: 'utf8' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
