/** @file Decodes WAV files with the wavefile library; the only file that imports it. */

import wavefile from 'wavefile';
import { audioInvalid, type ByteCursor } from '../byteCursor.ts';
import { waveHeader } from '../wave.ts';
import { frameBytes, readWaveHeader, type WaveFormat } from './riff.ts';
import type { OpenAudio, AudioFormat } from './audioFormat.ts';

const codes = { pcm: 1, float: 3, alaw: 6, mulaw: 7 } as const;
/** No piece holds more samples than this over all channels. */
const MAX_PIECE = 2 ** 20;

/**
 * WAV: PCM of 8 (unsigned), 16, 24 and 32 bits, float of 32 and 64, A-law, mu-law, plain or extensible, 1 to 64 channels.
 * Integers are divided by 2^(bits - 1), as libsndfile does, and companded samples are expanded to 16 bits first.
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

/** Samples in bytes `start` to `end`, counted from where `bytes` stands, of the `length` there are. */
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
  // The scale is a power of two, so rounding to float32 before or after it makes no difference.
  const samples = file.getSamples(true, Float32Array) as unknown as Float32Array;
  if (format.encoding === 'pcm' && format.bits === 8) return samples.map((sample) => (sample - 128) / 128);
  const scale = 2 ** ((format.encoding === 'pcm' ? format.bits : 16) - 1);
  return samples.map((sample) => sample / scale);
}

// The library assembles every sample from its bytes: half a second for a million floats, so these two go without it.

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

/**
 * The samples behind the plainest possible header. The library never sees the stranger's own: it counts the
 * pad byte of an odd data chunk as a sample, takes extensible float for integers, and fails on a second LIST chunk.
 */
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
