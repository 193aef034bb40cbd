/** @file What transformers calls a model's kind. */

import type { TaskModel } from '@onnx-lora/sdk/tasks';

/** `model_type` of config.json, where it is a text. */
export function modelType({ config }: TaskModel): string | undefined {
  const type = config?.['model_type'];
  return typeof type === 'string' ? type : undefined;
}

/** Whether the model was trained as SigLIP: pairs are questions of their own, and texts are filled up to one length. */
export function isSiglip(model: TaskModel): boolean {
  return modelType(model)?.startsWith('siglip') ?? false;
}
