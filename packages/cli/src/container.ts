/** @file Everything that the domain packages bring, gathered by inversify. */

import { scienceModule } from '@onnx-lora/science';
import {
  MODEL_FAMILY,
  type ModelFamily,
  PREPROCESSOR_FACTORY,
  type PreprocessorFactory,
  TASK_FACTORY,
  type TaskFactory,
} from '@onnx-lora/sdk';
import { speechModule } from '@onnx-lora/speech';
import { visionModule } from '@onnx-lora/vision';
import { Container } from 'inversify';

/** What the commands choose from. */
export interface Catalogue {
  readonly families: readonly ModelFamily[];
  readonly tasks: readonly TaskFactory[];
  readonly preprocessors: readonly PreprocessorFactory[];
}

/** Loads the modules of all domain packages. */
export function loadCatalogue(): Catalogue {
  const container = new Container();
  container.load(visionModule, speechModule, scienceModule);
  return {
    families: container.getAll(MODEL_FAMILY),
    tasks: container.getAll(TASK_FACTORY),
    preprocessors: container.getAll(PREPROCESSOR_FACTORY),
  };
}
