/** @file Reads and writes WAV files. */

import wavefile from 'wavefile';
import { audioInvalid, type ByteCursor } from '../byteCursor.ts';
import type { OpenAudio, AudioFormat } from './audioFormat.ts';

const codes = { pcm: 1, float: 3, alaw: 6, mulaw: 7 } as const;
/** Most samples per piece over all channels. */
const MAX_PIECE = 2 ** 20;

/**
 * WAV: PCM of 8 (unsigned), 16, 24 and 32 bits, float of 32 and 64, A-law, mu-law, plain or extensible, 1 to 64
 * channels. Integers are divided by 2^(bits - 1) as in libsndfile; companded samples are expanded to 16 bits first.
 */
export const wav: AudioFormat = {
  name: 'WAV',
  fileEndings: ['.wav', '.wave'],
  recognises(head) {
    const container = Buffer.from(head.subarray(0, 4)).toString('latin1');
    return ['RIFF', 'RIFX', 'RF64', 'BW64'].includes(container);
  },
  async open(bytes): Promise<OpenAudio> {
    const { format, length } = await readWaveHeader(bytes);
    const { sampleRate, channels } = format;
    const frame = frameBytes(format);
    return {
      sampleRate,
      channels,
      ...(length !== undefined && { frames: length / frame }),
      pieces: (start, end) => wavePieces(bytes, format, length, start * frame, end * frame),
    };
  },
};

/** Samples in bytes `start` to `end`, relative to `bytes`, of `length` bytes in total. */
async function* wavePieces(
  bytes: ByteCursor,
  format: WaveFormat,
  length: number | undefined,
  start: number,
  end: number,
): AsyncGenerator<readonly Float32Array[]> {
  const frame = frameBytes(format);
  const size = frame * Math.max(1, Math.min(format.sampleRate, Math.floor(MAX_PIECE / format.channels)));
  const stop = Math.min(end, length ?? Infinity);
  await bytes.skip(start);
  for (let at = start; at < stop;) {
    const wanted = Math.min(size, stop - at);
    const data = await bytes.take(wanted);
    const whole = data.subarray(0, data.length - (data.length % frame));
    if (whole.length > 0) yield deinterleave(decode(whole, format), format.channels);
    at += data.length;
    if (data.length < wanted) {
      if (length === undefined) return;
      throw audioInvalid(
        bytes,
        `is cut short: ${length} bytes of samples are announced, but only ${at} came. Copy or download it again.`,
      );
    }
  }
}

function decode(data: Uint8Array, format: WaveFormat): Float32Array {
  if (format.encoding === 'float') return decodeFloats(data, format.bits);
  if (format.encoding === 'pcm' && format.bits === 16) return decodeShorts(data);
  const file = new wavefile.WaveFile(canonical(format, data));
  if (format.encoding === 'alaw') file.fromALaw();
  if (format.encoding === 'mulaw') file.fromMuLaw();
  // The scale is a power of two, so rounding to float32 commutes with it.
  const samples = file.getSamples(true, Float32Array) as unknown as Float32Array;
  if (format.encoding === 'pcm' && format.bits === 8) return samples.map((sample) => (sample - 128) / 128);
  const scale = 2 ** ((format.encoding === 'pcm' ? format.bits : 16) - 1);
  return samples.map((sample) => sample / scale);
}

// The library assembles every sample byte by byte (half a second for a million floats), so these two are read directly.

function decodeFloats(data: Uint8Array, bits: number): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Float32Array.from({ length: data.length / (bits / 8) }, (_, i) =>
    bits === 32 ? view.getFloat32(i * 4, true) : view.getFloat64(i * 8, true),
  );
}

function decodeShorts(data: Uint8Array): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const samples = new Float32Array(data.length / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(2 * i, true) / 32768;
  return samples;
}

/** The samples with a minimal header: the library fails on odd data chunks, extensible float and second LIST chunks. */
function canonical({ encoding, channels, sampleRate, bits }: WaveFormat, data: Uint8Array): Uint8Array {
  const bytes = waveHeader({ code: codes[encoding], channels, sampleRate, bits, length: data.length });
  bytes.set(data, bytes.length - data.length);
  return bytes;
}

function deinterleave(samples: Float32Array, channels: number): Float32Array[] {
  if (channels === 1) return [samples];
  const frames = samples.length / channels;
  return Array.from({ length: channels }, (_, channel) => {
    const own = new Float32Array(frames);
    for (let i = 0; i < frames; i++) own[i] = samples[i * channels + channel]!;
    return own;
  });
}

const HEADER = 44;

/**
 * A mono WAV file of 16 bits. Samples beyond [-1, 1] are clipped.
 * @param samples one channel, `[samples]`
 */
export function toWave(samples: Float32Array, sampleRate: number): Uint8Array {
  const bytes = waveHeader({ code: 1, channels: 1, sampleRate, bits: 16, length: samples.length * 2 });
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < samples.length; i++) {
    view.setInt16(HEADER + 2 * i, Math.max(-32768, Math.min(32767, Math.round(samples[i]! * 32768))), true);
  }
  return bytes;
}

export interface WaveHeaderFields {
  readonly code: number;
  readonly channels: number;
  readonly sampleRate: number;
  readonly bits: number;
  readonly length: number;
}

/** A header of 44 bytes, followed by `length` zeros for the samples. */
function waveHeader({ code, channels, sampleRate, bits, length }: WaveHeaderFields): Uint8Array<ArrayBuffer> {
  const frame = (channels * bits) / 8;
  const bytes = new Uint8Array(HEADER + length);
  const view = new DataView(bytes.buffer);
  const ascii = (offset: number, text: string): void => {
    bytes.set(Buffer.from(text, 'latin1'), offset);
  };
  ascii(0, 'RIFF');
  view.setUint32(4, HEADER - 8 + length, true);
  ascii(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, code, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * frame, true);
  view.setUint16(32, frame, true);
  view.setUint16(34, bits, true);
  ascii(36, 'data');
  view.setUint32(40, length, true);
  return bytes;
}

/** Encoding of a sample: an integer, a float, or companded to 8 bits by G.711. */
export type SampleEncoding = 'pcm' | 'float' | 'alaw' | 'mulaw';

/** The `fmt ` chunk, with WAVE_FORMAT_EXTENSIBLE resolved. */
export interface WaveFormat {
  readonly encoding: SampleEncoding;
  readonly channels: number;
  readonly sampleRate: number;
  readonly bits: number;
}

export interface WaveHeader {
  readonly format: WaveFormat;
  /** Bytes of samples in whole frames; undefined if they extend to the end of a stream. */
  readonly length: number | undefined;
}

const MAX_CHUNKS = 1000;
const MAX_CHANNELS = 64;
const EXTENSIBLE = 0xfffe;
/** Lengths "to the end" when writing to a pipe: ffmpeg 0xffffffff, arecord 0x80000000, SoX 0x7ffff000, GStreamer 0. */
const UNKNOWN_FROM = 0x7fff_f000;
const LONG = 0xffff_ffff;
/** RF64, also called BW64, is RIFF with 64-bit lengths. */
const containers = ['RIFF', 'RF64', 'BW64'];
const encodings: Readonly<Record<number, SampleEncoding>> = { 1: 'pcm', 3: 'float', 6: 'alaw', 7: 'mulaw' };
const depths: Readonly<Record<SampleEncoding, readonly number[]>> = {
  pcm: [8, 16, 24, 32],
  float: [32, 64],
  alaw: [8],
  mulaw: [8],
};
// Bytes 2 to 15 of KSDATAFORMAT_SUBTYPE_*, after the format code.
const SUBTYPE_TAIL = '000000001000800000aa00389b71';
const CONVERT = 'Convert it, for example with "ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav".';

/** Bytes of one sample of every channel. */
function frameBytes({ channels, bits }: WaveFormat): number {
  return (channels * bits) / 8;
}

/**
 * Reads a RIFF or RF64 header up to the first sample. Other chunks are skipped at no cost; a truncated last frame is
 * dropped.
 * @throws OnnxLoraError `DATA_INVALID` for a file that is no WAV, is truncated or empty, or has an unsupported encoding
 */
async function readWaveHeader(bytes: ByteCursor): Promise<WaveHeader> {
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
    // Above 4 GB, the "data" chunk announces 0xffffffff.
    if (id === 'ds64') longLength = longDataLength(await bytes.peek(16));
    if (id === 'data') {
      if (!format) throw audioInvalid(bytes, `has its "data" chunk before the "fmt " chunk. ${CONVERT}`);
      return { format, length: await dataLength(bytes, format, claimed === LONG ? (longLength ?? claimed) : claimed) };
    }
    if (id === 'fmt ') format = parseFormat(await bytes.peek(Math.min(claimed, 40)), bytes);
    // Chunks are padded to an even length that their size does not count.
    await bytes.skip(claimed + (claimed % 2));
  }
  throw audioInvalid(bytes, `has no ${format ? '"data"' : '"fmt "'} chunk, so there is nothing to play. ${CONVERT}`);
}

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

/** The format code inside WAVE_FORMAT_EXTENSIBLE; the wrapper's own for an unknown subtype. */
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
