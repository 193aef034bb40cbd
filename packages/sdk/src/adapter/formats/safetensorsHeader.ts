/** @file Parses the untrusted JSON header of a safetensors file, with checks before allocations. */

import { OnnxLoraError } from '../../errors.ts';
import { type DataType, bytesPerElement } from '../../runtime/tensor.ts';
import { isObject, type JsonBudget, parseForeignJson, quote } from './foreignJson.ts';

/** Element types by safetensors name, in the order of the reference library's layout. */
export const safetensorsTypes: Readonly<Record<string, DataType>> = {
  U64: 'uint64',
  I64: 'int64',
  F64: 'float64',
  F32: 'float32',
  U32: 'uint32',
  I32: 'int32',
  BF16: 'bfloat16',
  F16: 'float16',
  U16: 'uint16',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
};

/** The reference library's limit; longer headers are rejected unread. */
const MAX_HEADER_BYTES = 100_000_000;

/** Limits of a header's metadata if the number of tensors is limited. */
const [METADATA_BYTES, METADATA_KEYS] = [4 << 20, 1000];
/** Limits of a tensor's description: bytes including its name, and members of its objects. */
const [TENSOR_BYTES, TENSOR_KEYS] = [512, 4];

/** Bytes of the header's length, which precedes the header. */
export const LENGTH_BYTES = 8;

/** A tensor's location; `begin` and `end` count from the end of the header. */
export interface TensorEntry {
  readonly name: string;
  readonly type: DataType;
  readonly dims: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A checked header: its entries cover the data without gap or overlap. */
export interface SafetensorsHeader {
  readonly entries: readonly TensorEntry[];
  readonly metadata: Record<string, string>;
}

/**
 * The header's length in bytes, from the first eight bytes of the file.
 * @param maxTensors maximum number of tensors; a header longer than they could need is rejected
 * @throws OnnxLoraError `FILE_INVALID` for a pickle, a Git LFS pointer, or anything but safetensors
 */
export function headerLength(start: Uint8Array, fileSize: number, file: string, maxTensors: number = Infinity): number {
  if (start.length < LENGTH_BYTES) {
    throw invalid(file, `it has ${fileSize} bytes, and the length of its header alone takes ${LENGTH_BYTES}`);
  }
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    // Checked late, since a pickle's first bytes are also those of a header of 640 bytes.
    refuseOtherFormats(start, file);
    throw invalid(file, `its header claims ${length} bytes, and at most ${MAX_HEADER_BYTES} are allowed`);
  }
  if (Number(length) > fileSize - LENGTH_BYTES) {
    throw invalid(file, `its header claims ${length} bytes, but the file has only ${fileSize}`);
  }
  if (Number(length) > METADATA_BYTES + TENSOR_BYTES * maxTensors) throw tooMany(file, maxTensors);
  return Number(length);
}

/**
 * Parses and checks a header for `dataSize` bytes of data.
 * @param maxTensors maximum number of tensors, checked before creating any
 * @throws OnnxLoraError `FILE_INVALID` for invalid JSON, duplicates, unknown types, wrong sizes, gaps and overlaps
 */
export function parseHeader(
  bytes: Uint8Array,
  dataSize: number,
  file: string,
  maxTensors: number = Infinity,
): SafetensorsHeader {
  const json = parseJson(bytes, file, { keys: METADATA_KEYS + TENSOR_KEYS * maxTensors });
  const members = Object.entries(json);
  if (members.length > maxTensors + 1) throw tooMany(file, maxTensors);
  const entries: TensorEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of members) {
    if (name === '__metadata__') metadata = parseMetadata(value, file);
    else entries.push(parseEntry(name, value, file));
  }
  checkCover(entries, dataSize, file);
  return { entries, metadata };
}

function refuseOtherFormats(start: Uint8Array, file: string): void {
  const text = String.fromCharCode(...start.subarray(0, LENGTH_BYTES));
  // A zip archive (torch.save since 1.6), or a pickle stream: PROTO opcode and a protocol number.
  if (text.startsWith('PK') || (start[0] === 0x80 && start[1]! <= 5)) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}" is a PyTorch pickle, and opening a pickle can run any code that its author put in. ` +
        'It is never opened here: ask for a .safetensors file, or load it in Python with a source you trust and save it with safe_serialization=True.',
    );
  }
  if (text === 'version ') {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}" is a Git LFS pointer and not the weights themselves. Run "git lfs pull" in its folder.`,
    );
  }
}

function parseJson(bytes: Uint8Array, file: string, budget: JsonBudget): object {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = parseForeignJson(text, budget);
  } catch (cause) {
    throw invalid(file, `its header is not JSON that can be read: ${(cause as Error).message}`, cause);
  }
  if (!isObject(json)) throw invalid(file, 'its header is not a JSON object');
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw invalid(file, `its header holds ${quote(repeated)} twice`);
  return json;
}

/** The first duplicate key of an object in valid JSON, where JSON.parse would silently keep the last. */
function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '{') open.push(new Set());
    else if (text[at] === '}') open.pop();
    else if (text[at] === '"') {
      const begin = at;
      for (at++; text[at] !== '"'; at++) if (text[at] === '\\') at++;
      let behind = at + 1;
      while (text[behind]! <= ' ') behind++;
      if (text[behind] !== ':') continue;
      const key = JSON.parse(text.slice(begin, at + 1)) as string;
      const keys = open.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  if (!isObject(value)) throw invalid(file, 'its __metadata__ is not an object');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw invalid(file, `its metadata ${quote(key)} is not a string`);
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, value: unknown, file: string): TensorEntry {
  const where = `tensor ${quote(name)}`;
  if (!isObject(value)) throw invalid(file, `${where} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  const type =
    typeof dtype === 'string' && Object.hasOwn(safetensorsTypes, dtype) ? safetensorsTypes[dtype] : undefined;
  if (type === undefined) {
    throw invalid(
      file,
      `${where} has the element type ${quote(dtype)}, and only ${Object.keys(safetensorsTypes).join(', ')} are read`,
    );
  }
  if (!isCounts(shape)) throw invalid(file, `${where} has no shape of whole numbers`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw invalid(file, `${where} has no data_offsets [begin, end]`);
  }
  const [begin, end] = offsets as [number, number];
  let bytes = bytesPerElement(type);
  for (const dim of shape) {
    bytes *= dim;
    if (bytes > Number.MAX_SAFE_INTEGER) throw invalid(file, `${where} has an impossible shape [${shape.join(', ')}]`);
  }
  if (bytes !== end - begin) {
    throw invalid(
      file,
      `${where} of type ${String(dtype)} and shape [${shape.join(', ')}] needs ${bytes} bytes, but ${end - begin} are given`,
    );
  }
  return { name, type, dims: shape, begin, end };
}

function checkCover(entries: readonly TensorEntry[], dataSize: number, file: string): void {
  let covered = 0;
  for (const { name, begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered) {
      throw invalid(
        file,
        `tensor ${quote(name)} begins at byte ${begin}, where ${covered} was expected: data ${begin < covered ? 'overlap' : 'have a gap'}`,
      );
    }
    covered = end;
  }
  if (covered !== dataSize) {
    throw invalid(file, `its tensors take ${covered} bytes, but ${dataSize} bytes of data are there`);
  }
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((each) => Number.isSafeInteger(each) && each >= 0);
}

function invalid(file: string, what: string, cause?: unknown): OnnxLoraError {
  return new OnnxLoraError(
    'FILE_INVALID',
    `"${file}" is not a valid safetensors file: ${what}. It may be cut short or damaged: copy or download it again.`,
    cause === undefined ? undefined : { cause },
  );
}

function tooMany(file: string, maxTensors: number): OnnxLoraError {
  return new OnnxLoraError(
    'FILE_INVALID',
    `"${file}" describes more than the ${maxTensors} tensors that an adapter of this model may have. Pass an adapter that was trained on this model.`,
  );
}
