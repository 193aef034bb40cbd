/** @file Whisper's log-mel spectrogram. */

import { melFilters } from './melFilters.ts';
import { PowerSpectrum } from './spectrum.ts';

/** Sizes of a log-mel spectrogram; the names in brackets are those of preprocessor_config.json. */
export interface LogMelOptions {
  /** Hz (`sampling_rate`). */
  readonly sampleRate: number;
  /** Rows of the result (`feature_size`): 80, or 128 since Whisper large-v3. */
  readonly mels: number;
  /** Samples of a frame (`n_fft`). */
  readonly frameLength: number;
  /** Samples from one frame to the next (`hop_length`). */
  readonly hop: number;
  /** Samples that every clip is padded or cut to (`n_samples`): 30 s. */
  readonly length: number;
}

/** Powers below this count as silence. */
const FLOOR = 1e-10;
/** Whisper's filters end here, whatever the sample rate. */
const MAX_FREQUENCY = 8000;

/** Turns sound into what Whisper's encoder is fed. */
export class LogMel {
  /** Columns of the result: `length / hop`. */
  readonly frames: number;
  readonly #options: LogMelOptions;
  readonly #spectrum: PowerSpectrum;
  readonly #window: Float64Array;
  readonly #filters: Float64Array;
  /** First bin and the one after the last that a filter hears, per mel. */
  readonly #ranges: readonly (readonly [number, number])[];

  constructor(options: LogMelOptions) {
    this.#options = options;
    this.frames = Math.floor(options.length / options.hop);
    this.#spectrum = new PowerSpectrum(options.frameLength);
    // The periodic Hann window: one period is frameLength samples, not frameLength - 1.
    this.#window = Float64Array.from(
      { length: options.frameLength },
      (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / options.frameLength),
    );
    const bins = this.#spectrum.bins;
    this.#filters = melFilters(bins, options.mels, options.sampleRate, MAX_FREQUENCY);
    this.#ranges = Array.from({ length: options.mels }, (_, mel) => {
      const heard = Array.from({ length: bins }, (_bin, bin) => bin).filter(
        (bin) => this.#filters[bin * options.mels + mel]! > 0,
      );
      return [heard[0] ?? 0, (heard.at(-1) ?? -1) + 1];
    });
  }

  /**
   * The features `[mels, frames]` of `samples`, which is cut or padded with silence to `length`: the log10 of the mel
   * powers, raised to at least their maximum minus 8, then (x + 4) / 4.
   *
   * @see A. Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022, section 2.2
   */
  features(samples: Float32Array): Float32Array {
    const { mels, frameLength } = this.#options;
    const frame = new Float64Array(frameLength);
    const power = new Float64Array(this.#spectrum.bins);
    const logs = new Float64Array(mels * this.frames).fill(Math.log10(FLOOR));
    for (let column = 0; column < this.frames; column++) {
      // Most of a short clip is padding, whose features are the floor already.
      if (!this.#cutFrame(samples, column, frame)) continue;
      this.#spectrum.compute(frame, power);
      for (let mel = 0; mel < mels; mel++) {
        logs[mel * this.frames + column] = Math.log10(Math.max(FLOOR, this.#heard(power, mel)));
      }
    }
    const floor = logs.reduce((max, value) => Math.max(max, value), -Infinity) - 8;
    return Float32Array.from(logs, (value) => (Math.max(value, floor) + 4) / 4);
  }

  /** The windowed frame around sample `column · hop`, mirrored at both ends; false when it is silent throughout. */
  #cutFrame(samples: Float32Array, column: number, frame: Float64Array): boolean {
    const { frameLength, hop, length } = this.#options;
    const start = column * hop - frameLength / 2;
    let sounds = false;
    for (let i = 0; i < frameLength; i++) {
      let at = Math.abs(start + i);
      if (at >= length) at = 2 * (length - 1) - at;
      const sample = samples[at] ?? 0;
      sounds ||= sample !== 0;
      frame[i] = sample * this.#window[i]!;
    }
    return sounds;
  }

  #heard(power: Float64Array, mel: number): number {
    const [first, end] = this.#ranges[mel]!;
    let sum = 0;
    for (let bin = first; bin < end; bin++) sum += power[bin]! * this.#filters[bin * this.#options.mels + mel]!;
    return sum;
  }
}
