/** @file Decodes WAV files with the wavefile library; the only file that imports it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import wavefile from 'wavefile';
import type { Audio, AudioReader } from './audio.ts';
import { readWave, type Wave, type WaveFormat } from './riff.ts';

const codes = { pcm: 1, float: 3, alaw: 6, mulaw: 7 } as const;

/**
 * Reads WAV: PCM of 8 (unsigned), 16, 24 and 32 bits, float of 32 and 64, A-law, mu-law, plain or extensible.
 * Integers are divided by 2^(bits - 1), as libsndfile does, and companded samples are expanded to 16 bits first.
 */
export class WavefileReader implements AudioReader {
  async read(file: string): Promise<Audio> {
    const wave = await readWave(file);
    const samples = decode(wave);
    const bad = samples.findIndex((sample) => !Number.isFinite(sample));
    if (bad >= 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The sound file "${file}" holds ${samples[bad]} at sample ${bad}, where a finite number is expected. Export it again.`,
      );
    }
    return { sampleRate: wave.format.sampleRate, channels: deinterleave(samples, wave.format.channels) };
  }
}

function decode({ format, data }: Wave): Float32Array {
  if (format.encoding === 'float') return decodeFloats(data, format.bits);
  const wav = new wavefile.WaveFile(canonical(format, data));
  if (format.encoding === 'alaw') wav.fromALaw();
  if (format.encoding === 'mulaw') wav.fromMuLaw();
  // The scale is a power of two, so rounding to float32 before or after it makes no difference.
  const samples = wav.getSamples(true, Float32Array) as unknown as Float32Array;
  if (format.encoding === 'pcm' && format.bits === 8) return samples.map((sample) => (sample - 128) / 128);
  const scale = 2 ** ((format.encoding === 'pcm' ? format.bits : 16) - 1);
  return samples.map((sample) => sample / scale);
}

/** Without the library, which assembles floats bit by bit: half a second for a million samples. */
function decodeFloats(data: Uint8Array, bits: number): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Float32Array.from({ length: data.length / (bits / 8) }, (_, i) =>
    bits === 32 ? view.getFloat32(i * 4, true) : view.getFloat64(i * 8, true),
  );
}

/**
 * The samples behind the plainest possible header. The library never sees the stranger's own: it counts the
 * pad byte of an odd data chunk as a sample, takes extensible float for integers, and fails on a second LIST chunk.
 */
function canonical({ encoding, channels, sampleRate, bits }: WaveFormat, data: Uint8Array): Uint8Array {
  const frame = (channels * bits) / 8;
  const bytes = new Uint8Array(44 + data.length);
  const view = new DataView(bytes.buffer);
  const ascii = (offset: number, text: string): void => {
    bytes.set(Buffer.from(text, 'latin1'), offset);
  };
  ascii(0, 'RIFF');
  view.setUint32(4, 36 + data.length, true);
  ascii(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, codes[encoding], true);
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * frame, true);
  view.setUint16(32, frame, true);
  view.setUint16(34, bits, true);
  ascii(36, 'data');
  view.setUint32(40, data.length, true);
  bytes.set(data, 44);
  return bytes;
}

function deinterleave(samples: Float32Array, channels: number): Float32Array[] {
  if (channels === 1) return [samples];
  const frames = samples.length / channels;
  return Array.from({ length: channels }, (_, channel) =>
    new Float32Array(frames).map((_sample, i) => samples[i * channels + channel]!),
  );
}
