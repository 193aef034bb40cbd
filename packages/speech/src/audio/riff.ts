/** @file Finds the format and the samples in a WAV file without reading anything else of it. */

import { open, type FileHandle } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';

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

/** Format and undecoded, interleaved samples of a WAV file; whole frames only. */
export interface Wave {
  readonly format: WaveFormat;
  readonly data: Uint8Array;
}

/** Sound longer than this is refused: the models here hear seconds, not hours. */
const MAX_SECONDS = 3600;
/** At most this many samples over all channels, which is 256 MiB as float32. */
const MAX_SAMPLES = 2 ** 26;

const MAX_CHUNKS = 1000;
const MAX_CHANNELS = 64;
const MIN_RATE = 1000;
const MAX_RATE = 768_000;
const EXTENSIBLE = 0xfffe;
const STREAMED = 0xffff_ffff;
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

/**
 * Reads format and samples of a RIFF WAV file. Other chunks are skipped, whatever they hold, so that their size and
 * number cost nothing. A last frame that is cut short is dropped.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`, or `DATA_INVALID` when the file is not a WAV file, is truncated, too large,
 * or encoded in a way that is not supported
 */
export async function readWave(file: string): Promise<Wave> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (cause) {
    throw unreadable(file, cause);
  }
  try {
    return await walk(handle, file);
  } catch (cause) {
    throw cause instanceof OnnxLoraError ? cause : unreadable(file, cause);
  } finally {
    await handle.close();
  }
}

async function walk(handle: FileHandle, file: string): Promise<Wave> {
  const { size } = await handle.stat();
  const head = await bytesAt(handle, 0, Math.min(12, size));
  const container = latin1(head, 0, 4);
  if (container === 'RIFX' || container === 'RF64') {
    throw invalid(
      file,
      `is ${container === 'RIFX' ? 'a big-endian (RIFX)' : 'an RF64'} file, and only RIFF is read. ${CONVERT}`,
    );
  }
  if (container !== 'RIFF' || latin1(head, 8, 12) !== 'WAVE') {
    throw invalid(file, `does not begin with "RIFF…WAVE", so it is not a WAV file. ${CONVERT}`);
  }

  let format: WaveFormat | undefined;
  let offset = 12;
  for (let chunk = 0; chunk < MAX_CHUNKS && offset + 8 <= size; chunk++) {
    const header = await bytesAt(handle, offset, 8);
    const id = latin1(header, 0, 4);
    const claimed = header.getUint32(4, true);
    const start = offset + 8;
    if (id === 'fmt ') {
      format = parseFormat(await bytesAt(handle, start, Math.min(claimed, 40, size - start)), file);
    } else if (id === 'data') {
      if (!format) throw invalid(file, `has its "data" chunk before the "fmt " chunk. ${CONVERT}`);
      // A program that writes to a pipe cannot know the length, and says so with this value.
      const length = claimed === STREAMED ? size - start : claimed;
      if (start + length > size) {
        throw invalid(
          file,
          `is cut short: ${length} bytes of samples are announced, but only ${size - start} follow. Copy or download it again.`,
        );
      }
      return { format, data: await samplesAt(handle, start, length, format, file) };
    }
    // Chunks are padded to an even length; the size does not count the pad byte.
    offset = start + claimed + (claimed % 2);
  }
  throw invalid(file, `has no ${format ? '"data"' : '"fmt "'} chunk, so there is nothing to play. ${CONVERT}`);
}

function parseFormat(view: DataView, file: string): WaveFormat {
  if (view.byteLength < 16)
    throw invalid(file, `has a "fmt " chunk of ${view.byteLength} bytes; at least 16 are needed. ${CONVERT}`);
  const code = view.getUint16(0, true) === EXTENSIBLE ? extensibleCode(view) : view.getUint16(0, true);
  const channels = view.getUint16(2, true);
  const sampleRate = view.getUint32(4, true);
  const blockAlign = view.getUint16(12, true);
  const bits = view.getUint16(14, true);
  const encoding = encodings[code];
  if (!encoding || !depths[encoding].includes(bits)) {
    throw invalid(
      file,
      `is encoded as format ${code} with ${bits} bits. Read are PCM of 8, 16, 24 and 32 bits, float of 32 and 64, A-law and mu-law. ${CONVERT}`,
    );
  }
  if (channels < 1 || channels > MAX_CHANNELS) {
    throw invalid(file, `says it has ${channels} channels; 1 to ${MAX_CHANNELS} are read. ${CONVERT}`);
  }
  if (sampleRate < MIN_RATE || sampleRate > MAX_RATE) {
    throw invalid(file, `says its rate is ${sampleRate} Hz; ${MIN_RATE} to ${MAX_RATE} are read. ${CONVERT}`);
  }
  if (blockAlign !== (channels * bits) / 8) {
    throw invalid(
      file,
      `contradicts itself: ${channels} channels of ${bits} bits are ${(channels * bits) / 8} bytes a frame, but it says ${blockAlign}. ${CONVERT}`,
    );
  }
  return { encoding, channels, sampleRate, bits };
}

/** The plain format code inside WAVE_FORMAT_EXTENSIBLE, or the wrapper's own code for a subtype that has none. */
function extensibleCode(view: DataView): number {
  if (view.byteLength < 40) return EXTENSIBLE;
  const tail = Buffer.from(view.buffer, view.byteOffset + 26, 14).toString('hex');
  return tail === SUBTYPE_TAIL ? view.getUint16(24, true) : EXTENSIBLE;
}

async function samplesAt(
  handle: FileHandle,
  start: number,
  length: number,
  format: WaveFormat,
  file: string,
): Promise<Uint8Array> {
  const frame = (format.channels * format.bits) / 8;
  const frames = Math.floor(length / frame);
  if (frames === 0) throw invalid(file, 'holds no samples. Record it again, or leave it out of the data.');
  if (frames > format.sampleRate * MAX_SECONDS || frames * format.channels > MAX_SAMPLES) {
    throw invalid(
      file,
      `is too long: ${Math.round(frames / format.sampleRate)} s in ${format.channels} channels. At most ${MAX_SECONDS} s and ${MAX_SAMPLES} samples are read. Cut it into pieces.`,
    );
  }
  const { buffer } = await bytesAt(handle, start, frames * frame);
  return new Uint8Array(buffer);
}

/** Exactly `length` bytes; a file that shrinks while it is read counts as truncated. */
async function bytesAt(handle: FileHandle, offset: number, length: number): Promise<DataView<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) throw new RangeError(`the file ends at byte ${offset + done}`);
    done += bytesRead;
  }
  return new DataView(bytes.buffer);
}

function latin1(view: DataView, start: number, end: number): string {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('latin1', start, end);
}

function invalid(file: string, what: string): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `The sound file "${file}" ${what}`);
}

function unreadable(file: string, cause: unknown): OnnxLoraError {
  if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
    return new OnnxLoraError('FILE_NOT_FOUND', `There is no sound file "${file}". Check the path.`, { cause });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new OnnxLoraError(
    'DATA_INVALID',
    `The sound file "${file}" cannot be read: ${reason}. Check that it is a file you may read.`,
    { cause },
  );
}
