/** @file Reads sound files of every format. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Audio, AudioReader, AudioSource, AudioSpan, AudioStream } from './audio.ts';
import { byteCursor, type ByteCursor, audioInvalid } from './byteCursor.ts';
import type { OpenAudio, AudioFormat } from './formats/audioFormat.ts';
import { flac } from './formats/flac/flac.ts';
import { mp3 } from './formats/mp3/mp3.ts';
import { mp4 } from './formats/mp4/mp4.ts';
import { ogg } from './formats/ogg/ogg.ts';
import { wav } from './formats/wav.ts';
import { checkRates } from './resample.ts';

/** Concatenates pieces of `frames` samples per channel in total. */
export function joinPieces(pieces: readonly (readonly Float32Array[])[], frames: number): readonly Float32Array[] {
  const [first = []] = pieces;
  if (pieces.length === 1) return first;
  return first.map((_, channel) => {
    const joined = new Float32Array(frames);
    let at = 0;
    for (const piece of pieces) {
      joined.set(piece[channel]!, at);
      at += piece[channel]!.length;
    }
    return joined;
  });
}

/** Longest sound that is read at once; a stream has no limit. */
const MAX_SECONDS = 3600;
/** Most samples over all channels that are read at once: 256 MiB as float32. */
const MAX_SAMPLES = 2 ** 26;
/** Tolerance in seconds for a span's end, since manifests round. */
const SPAN_SLACK = 0.5;
const HEAD_BYTES = 64;
/** Least rate in Hz: an untrusted header may claim 1 or 4e9, and resampling would exhaust the memory. */
const MIN_RATE = 1000;
const MAX_RATE = 768_000;

interface Opened extends OpenAudio {
  readonly name: string;
  close(): Promise<void>;
}

/** Reads sound files of the given formats. */
export class AudioFileReader implements AudioReader {
  readonly fileEndings: readonly string[];
  readonly #formats: readonly AudioFormat[];

  /** `formats` are tried in order, by a file's first bytes; all of this package by default. */
  constructor(formats: readonly AudioFormat[] = audioFormats) {
    this.#formats = formats;
    this.fileEndings = [...new Set(formats.flatMap((format) => format.fileEndings))];
  }

  async read(source: AudioSource, span: AudioSpan = {}): Promise<Audio> {
    checkSpan(span);
    const sound = await this.#open(source);
    const { name, sampleRate, channels } = sound;
    const start = Math.round((span.start ?? 0) * sampleRate);
    const end = Math.round((span.end ?? Infinity) * sampleRate);
    if (end <= start) {
      throw audioInvalid(sound, `has no sample from ${span.start ?? 0} to ${span.end} s. Correct the span.`);
    }
    const limit = Math.min(sampleRate * MAX_SECONDS, Math.floor(MAX_SAMPLES / channels));
    if (sound.frames !== undefined) {
      checkEnd(sound, span, sound.frames);
      checkLength(sound, Math.min(end, sound.frames) - start, limit);
    }
    const pieces: (readonly Float32Array[])[] = [];
    let frames = 0;
    for await (const piece of checkedPieces(sound, start, end)) {
      frames += piece[0]!.length;
      checkLength(sound, frames, limit);
      pieces.push(piece);
    }
    if (frames === 0 && start > 0) {
      throw audioInvalid(sound, `ends before ${span.start} s, where a span begins. Correct the span.`);
    }
    if (frames < end - start) checkEnd(sound, span, start + frames);
    if (frames === 0) throw audioInvalid({ name }, 'holds no samples. Record it again, or leave it out of the data.');
    return { sampleRate, channels: joinPieces(pieces, frames) };
  }

  async stream(source: AudioSource | AsyncIterable<Uint8Array>): Promise<AudioStream> {
    const sound = await this.#open(source);
    return { sampleRate: sound.sampleRate, pieces: nonEmptyPieces(sound) };
  }

  async #open(source: AudioSource | AsyncIterable<Uint8Array>): Promise<Opened> {
    if (isSamples(source)) return { name: 'The recording', close: async () => {}, ...openSamples(source) };
    const bytes = await byteCursor(source);
    const close = (): Promise<void> => bytes.close();
    try {
      const format = await this.#formatOf(bytes);
      const sound = await format.open(bytes);
      checkRate(bytes, sound);
      return { name: bytes.name, close, ...sound };
    } catch (cause) {
      await close();
      throw cause;
    }
  }

  async #formatOf(bytes: ByteCursor): Promise<AudioFormat> {
    const head = await bytes.peek(HEAD_BYTES);
    const format = this.#formats.find((each) => each.recognises(head));
    if (format) return format;
    throw audioInvalid(
      bytes,
      head.length === 0
        ? 'is empty. Record it again, or leave it out of the data.'
        : `is none of ${this.#formats.map(({ name }) => name).join(', ')} by its first bytes. Convert it, for example with "ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav".`,
    );
  }
}

function checkRate(bytes: ByteCursor, { sampleRate }: OpenAudio): void {
  if (sampleRate >= MIN_RATE && sampleRate <= MAX_RATE) return;
  throw audioInvalid(
    bytes,
    `says its rate is ${sampleRate} Hz; ${MIN_RATE} to ${MAX_RATE} are read. Convert it, for example with "ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav".`,
  );
}

function isSamples(source: AudioSource | AsyncIterable<Uint8Array>): source is Audio {
  return typeof source === 'object' && 'channels' in source;
}

function checkSpan({ start = 0, end = Infinity }: AudioSpan): void {
  if (start >= 0 && start < Infinity && end > start) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `A span of a recording must begin at 0 s or later and end after it begins, not go from ${start} to ${end} s.`,
  );
}

function checkEnd({ name, sampleRate }: Opened, { start = 0, end = 0 }: AudioSpan, frames: number): void {
  const seconds = frames / sampleRate;
  if (frames === 0 || (start < seconds && end <= seconds + SPAN_SLACK)) return;
  throw audioInvalid(
    { name },
    `is ${Number(seconds.toFixed(3))} s long, but a span from ${start} to ${end || 'its end'} s is asked for. Correct the span.`,
  );
}

function checkLength({ name, sampleRate, channels }: Opened, frames: number, limit: number): void {
  if (frames <= limit) return;
  throw audioInvalid(
    { name },
    `is too long to read at once: ${Math.round(frames / sampleRate)} s or more in ${channels} channels. At most ${MAX_SECONDS} s and ${MAX_SAMPLES} samples are read. Read it by spans or as a stream, or cut it into pieces.`,
  );
}

async function* checkedPieces(sound: Opened, start: number, end: number): AsyncGenerator<readonly Float32Array[]> {
  let at = start;
  for await (const piece of sound.pieces(start, end)) {
    const frames = piece[0]?.length ?? 0;
    if (frames === 0) continue;
    for (const channel of piece) {
      const bad = notFinite(channel);
      if (bad < 0) continue;
      throw audioInvalid(
        sound,
        `holds ${channel[bad]} at sample ${at + bad}, where a finite number is expected. Export it again.`,
      );
    }
    yield piece;
    at += frames;
  }
}

async function* nonEmptyPieces(sound: Opened): AsyncGenerator<readonly Float32Array[]> {
  let empty = true;
  try {
    for await (const piece of checkedPieces(sound, 0, Infinity)) {
      empty = false;
      yield piece;
    }
  } finally {
    await sound.close();
  }
  if (empty) throw audioInvalid(sound, 'holds no samples. Record it again, or leave it out of the data.');
}

function notFinite(samples: Float32Array): number {
  for (let i = 0; i < samples.length; i++) if (!Number.isFinite(samples[i]!)) return i;
  return -1;
}

/** Wraps samples without a copy. @throws OnnxLoraError `INPUT_INVALID` for invalid rates or unequal channels */
function openSamples({ sampleRate, channels }: Audio): OpenAudio {
  const frames = channels[0]?.length ?? 0;
  checkRates(sampleRate);
  if (channels.some(({ length }) => length !== frames)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The channels of a recording must be equally long, not ${channels.map(({ length }) => length).join(', ')} samples.`,
    );
  }
  return {
    sampleRate,
    channels: Math.max(1, channels.length),
    frames,
    async *pieces(start, end): AsyncGenerator<readonly Float32Array[]> {
      const stop = Math.min(end, frames);
      for (let at = start; at < stop; at += sampleRate) {
        yield channels.map((channel) => channel.subarray(at, Math.min(at + sampleRate, stop)));
      }
    },
  };
}

/** All formats of this package. */
export const audioFormats: readonly AudioFormat[] = [wav, flac, mp3, ogg, mp4];
