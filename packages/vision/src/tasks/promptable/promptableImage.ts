/** @file An image that has been encoded, and answers prompts. */

import type { Mask } from '../../augment/sample.ts';
import type { Geometry } from '../../preprocess/geometry.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import { type FoundMask, generateMasks, type GenerateMasksOptions } from './generateMasks.ts';
import { cutLogits, logitsOfImage, type MaskLogits, type PromptMasks } from './imageMask.ts';
import { type InputPrompt, type Prompt, promptToInput } from './prompt.ts';

/** The answer to one prompt. */
export interface PromptAnswer {
  /** A mask of the image's size for each thing that the prompt could mean: a whole, a part of it, a part of that. */
  readonly masks: readonly Mask[];
  /** The model's estimate of each mask's IoU. */
  readonly scores: readonly number[];
  /** Which has the highest. */
  readonly best: number;
  /** The masks as the decoder gave them: what may be a prompt's `mask`. */
  readonly logits: readonly MaskLogits[];
}

/** What an image needs to answer. */
export interface PromptableImageRequest {
  readonly name: string;
  readonly geometry: Geometry;
  readonly isPadded: boolean;
  readonly promptsAtOnce: number;
  /** Runs the decoder for prompts, and gives the masks of each by its number. */
  readonly decode: (prompts: readonly InputPrompt[]) => Promise<(image: 0, prompt: number) => PromptMasks>;
}

/** One encoded image. It stays usable until its predictor is released. */
export class PromptableImage {
  readonly #request: PromptableImageRequest;

  /** @hidden */
  constructor(request: PromptableImageRequest) {
    this.#request = request;
  }

  /** Of the image. */
  get size(): Size {
    const { height, width } = this.#request.geometry.input;
    return { height, width };
  }

  /**
   * The masks of one object.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for an empty prompt, or one that the model has no input for
   */
  async predict(prompt: Prompt): Promise<PromptAnswer> {
    const [answer] = await this.predictAll([prompt]);
    return answer!;
  }

  /**
   * The masks of many objects, whose prompts are answered together.
   *
   * @throws OnnxLoraError as {@link PromptableImage.predict}
   */
  async predictAll(prompts: readonly Prompt[]): Promise<PromptAnswer[]> {
    const { geometry, isPadded } = this.#request;
    const found = await this.#decode(prompts);
    return found.map(({ logits, scores, best }) => ({
      masks: logits.map((each) => ({ ...this.size, data: cutLogits(logitsOfImage(each, geometry, { isPadded })) })),
      scores,
      best,
      logits,
    }));
  }

  /**
   * The masks of all there is: the image is prompted with a grid of points, and of what comes the sure, the stable and the
   * different is kept, as transformers' pipeline `mask-generation` does. Best first.
   *
   * @throws OnnxLoraError `CONFIG_INVALID`, naming the option; `INPUT_INVALID` for a model that takes no points
   */
  generateMasks(options: GenerateMasksOptions = {}): Promise<FoundMask[]> {
    const { geometry, isPadded } = this.#request;
    return generateMasks(this.size, options, {
      decode: (prompts) => this.#decode(prompts),
      enlarge: (logits) => logitsOfImage(logits, geometry, { isPadded }),
    });
  }

  async #decode(prompts: readonly Prompt[]): Promise<PromptMasks[]> {
    const { geometry, name, promptsAtOnce, decode } = this.#request;
    const inputs = prompts.map((prompt) => promptToInput(prompt, geometry, name));
    const all: PromptMasks[] = [];
    for (let start = 0; start < inputs.length; start += promptsAtOnce) {
      const some = inputs.slice(start, start + promptsAtOnce);
      const found = await decode(some);
      all.push(...some.map((_, i) => found(0, i)));
    }
    return all;
  }
}
