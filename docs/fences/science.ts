/** @file Models, sequences and adapters of the pages about science. */

import {
  maskedLanguageModelling,
  residueClassification,
  scienceFamilies,
  sequenceClassification,
  sequenceRegression,
} from '@onnx-lora/science';
import { families, proteins, rowsOf, variants } from './sequences.ts';
import { type AdapterParts, adapterOf, copyOf, type Fixtures } from './fixtures.ts';

const esm = copyOf('docs/examples/models/esm2-tiny');
const structures = rowsOf('proteins/structure.csv', 6);
const esmAdapter = (parts: Pick<AdapterParts, 'data' | 'ending' | 'task'>): ReturnType<typeof adapterOf> =>
  adapterOf({ model: esm, families: scienceFamilies, ...parts });
const fitness = esmAdapter({ data: variants, ending: '.csv', task: (file) => sequenceRegression(file) });

export const scienceFiles: Fixtures = {
  'models/esm2': esm,
  esm2_t6_8M_UR50D: esm,

  'gb1.csv': variants,
  'held-out.csv': variants,
  'nanobodies.fasta': proteins,
  'new.fasta': proteins,
  'variants.fasta': proteins,
  'uniref50.fasta.gz': proteins,
  'structure.csv': structures,
  'families.csv': families(20),
  'enzymes.csv': families(40),
  'esol.csv': rowsOf('esol/esol.csv', 40),

  'runs/gb1/adapter': fitness,
  'runs/a/adapter': fitness,
  'runs/b/adapter': fitness,
  'runs/c/adapter': fitness,
  'runs/nanobodies/adapter': esmAdapter({
    data: proteins,
    ending: '.fasta',
    task: (file) => maskedLanguageModelling(file),
  }),
  'runs/structure/adapter': esmAdapter({
    data: structures,
    ending: '.csv',
    task: (file) => residueClassification(file, { columns: { residues: 'structure' }, unknown: ['X'] }),
  }),
  'runs/families/adapter': esmAdapter({
    data: families(10),
    ending: '.csv',
    task: (file) => sequenceClassification(file),
  }),
};
