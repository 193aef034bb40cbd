/** @file Finds the format and the samples in a WAV file without reading anything else of it. */

import { audioInvalid, type ByteCursor } from '../byteCursor.ts';

/** What one sample is: an integer, a floating-point number, or companded to 8 bits by G.711. */
export type SampleEncoding = 'pcm' | 'float' | 'alaw' | 'mulaw';

/** The `fmt ` chunk, with WAVE_FORMAT_EXTENSIBLE already resolved to what it wraps. */
export interface WaveFormat {
  readonly encoding: SampleEncoding;
  readonly channels: number;
  /** Hz. */
  readonly sampleRate: number;
  readonly bits: number;
}

/** Format and place of the samples. */
export interface WaveHeader {
  readonly format: WaveFormat;
  /** How many bytes of samples follow: whole frames; undefined when they go on to the end of a stream. */
  readonly length: number | undefined;
}

const MAX_CHUNKS = 1000;
const MAX_CHANNELS = 64;
const EXTENSIBLE = 0xfffe;
/**
 * A program that writes to a pipe cannot know the length. ffmpeg announces 0xffffffff, arecord 0x80000000, SoX 0x7ffff000,
 * GStreamer 0: all mean "to the end".
 */
const UNKNOWN_FROM = 0x7fff_f000;
const LONG = 0xffff_ffff;
/** RF64, also called BW64, is RIFF with lengths of 64 bits. */
const containers = ['RIFF', 'RF64', 'BW64'];
const encodings: Readonly<Record<number, SampleEncoding>> = { 1: 'pcm', 3: 'float', 6: 'alaw', 7: 'mulaw' };
const depths: Readonly<Record<SampleEncoding, readonly number[]>> = {
  pcm: [8, 16, 24, 32],
  float: [32, 64],
  alaw: [8],
  mulaw: [8],
};
// Bytes 2 to 15 of KSDATAFORMAT_SUBTYPE_*; the first two are the plain format code.
const SUBTYPE_TAIL = '000000001000800000aa00389b71';
const CONVERT = 'Convert it, for example with "ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav".';

/** How many bytes one sample of every channel takes. */
export function frameBytes({ channels, bits }: WaveFormat): number {
  return (channels * bits) / 8;
}

/**
 * Reads up to the first sample of a WAV file, RIFF or RF64. Other chunks are skipped, whatever they hold, so that their size and
 * number cost nothing. A last frame that is cut short is dropped.
 *
 * @throws OnnxLoraError `DATA_INVALID` when it is not a WAV file, is truncated, holds nothing, or is encoded in a way
 * that is not supported
 */
export async function readWaveHeader(bytes: ByteCursor): Promise<WaveHeader> {
  const head = await bytes.take(12);
  const container = latin1(head, 0, 4);
  if (container === 'RIFX') throw audioInvalid(bytes, `is big-endian (RIFX), and only RIFF is read. ${CONVERT}`);
  if (!containers.includes(container) || latin1(head, 8, 12) !== 'WAVE') {
    throw audioInvalid(bytes, `does not begin with "RIFF…WAVE", so it is not a WAV file. ${CONVERT}`);
  }

  let format: WaveFormat | undefined;
  let longLength: number | undefined;
  for (let chunk = 0; chunk < MAX_CHUNKS; chunk++) {
    const header = await bytes.take(8);
    if (header.length < 8) break;
    const id = latin1(header, 0, 4);
    const claimed = view(header).getUint32(4, true);
    // Of a file of more than 4 GB; its "data" chunk then announces 0xffffffff.
    if (id === 'ds64') longLength = longDataLength(await bytes.peek(16));
    if (id === 'data') {
      if (!format) throw audioInvalid(bytes, `has its "data" chunk before the "fmt " chunk. ${CONVERT}`);
      return { format, length: await dataLength(bytes, format, claimed === LONG ? (longLength ?? claimed) : claimed) };
    }
    if (id === 'fmt ') format = parseFormat(await bytes.peek(Math.min(claimed, 40)), bytes);
    // Chunks are padded to an even length; the size does not count the pad byte.
    await bytes.skip(claimed + (claimed % 2));
  }
  throw audioInvalid(bytes, `has no ${format ? '"data"' : '"fmt "'} chunk, so there is nothing to play. ${CONVERT}`);
}

/** The length of the samples by the "ds64" chunk. */
function longDataLength(chunk: Uint8Array): number | undefined {
  return chunk.length === 16 ? Number(view(chunk).getBigUint64(8, true)) : undefined;
}

async function dataLength(bytes: ByteCursor, format: WaveFormat, claimed: number): Promise<number | undefined> {
  const { remaining } = bytes;
  const unknown =
    claimed >= UNKNOWN_FROM
      ? remaining === undefined || claimed > remaining
      : // An empty chunk may also be meant; then nothing or another chunk follows.
        claimed === 0 && !['', 'LIST', 'id3 ', 'ID3 '].includes(latin1(await bytes.peek(4), 0, 4));
  if (!unknown && remaining !== undefined && claimed > remaining) {
    throw audioInvalid(
      bytes,
      `is cut short: ${claimed} bytes of samples are announced, but only ${remaining} follow. Copy or download it again.`,
    );
  }
  const length = unknown ? remaining : claimed;
  if (length === undefined) return undefined;
  const frame = frameBytes(format);
  return Math.floor(length / frame) * frame;
}

function parseFormat(chunk: Uint8Array, bytes: ByteCursor): WaveFormat {
  const fields = view(chunk);
  if (chunk.length < 16) {
    throw audioInvalid(bytes, `has a "fmt " chunk of ${chunk.length} bytes; at least 16 are needed. ${CONVERT}`);
  }
  const code = fields.getUint16(0, true) === EXTENSIBLE ? extensibleCode(chunk) : fields.getUint16(0, true);
  const channels = fields.getUint16(2, true);
  const sampleRate = fields.getUint32(4, true);
  const blockAlign = fields.getUint16(12, true);
  const bits = fields.getUint16(14, true);
  const encoding = encodings[code];
  if (!encoding || !depths[encoding].includes(bits)) {
    throw audioInvalid(
      bytes,
      `is encoded as format ${code} with ${bits} bits. Read are PCM of 8, 16, 24 and 32 bits, float of 32 and 64, A-law and mu-law. ${CONVERT}`,
    );
  }
  if (channels < 1 || channels > MAX_CHANNELS) {
    throw audioInvalid(bytes, `says it has ${channels} channels; 1 to ${MAX_CHANNELS} are read. ${CONVERT}`);
  }
  const format = { encoding, channels, sampleRate, bits };
  if (blockAlign !== frameBytes(format)) {
    throw audioInvalid(
      bytes,
      `contradicts itself: ${channels} channels of ${bits} bits are ${frameBytes(format)} bytes a frame, but it says ${blockAlign}. ${CONVERT}`,
    );
  }
  return format;
}

/** The plain format code inside WAVE_FORMAT_EXTENSIBLE, or the wrapper's own code for a subtype that has none. */
function extensibleCode(chunk: Uint8Array): number {
  if (chunk.length < 40) return EXTENSIBLE;
  return Buffer.from(chunk.subarray(26, 40)).toString('hex') === SUBTYPE_TAIL
    ? view(chunk).getUint16(24, true)
    : EXTENSIBLE;
}

function view({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function latin1({ buffer, byteOffset, byteLength }: Uint8Array, start: number, end: number): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1', start, end);
}
