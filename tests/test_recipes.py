"""The recipes, row by row against the tables of the papers' settings, which are written down here a second time, independently of the module."""
import math, re
import numpy as np, pytest
from audiossl.recipes import DISTILL, FINETUNE, LINEAR, PRETRAIN, RESULTS, list_recipes, peak_lr, pretrain_arguments, published, recipe

SETS = ['spcv2', 'audioset_b', 'audioset', 'voxceleb1', 'nsynth', 'us8k', 'fsd50k']

# --- pre-training

#  run               arch   lr    GPUs x batch  all   eff. LR  warm-up  steps   EMA     subset   win_length
RUNS = """
atst_clip_small  |  small | 5e-4 | 4 x 384 | 1536 | 3e-3    |  1300 |  39100 | 0.99   |  200000 | -
atst_clip_base   |  base  | 2e-4 | 6 x 256 | 1536 | 1.2e-3  | 15860 | 318000 | 0.9995 | 3000000 | -
atst_frame_small |  small | 4e-4 | 4 x 256 | 1024 | 1.6e-3  |  1950 |  58500 | 0.997  |  200000 | 640
atst_frame_base  |  base  | 8e-5 | 7 x 144 | 1008 | 3.15e-4 | 19900 | 398000 | 0.9996 | 3000000 | 1024
"""
rows = lambda text: [[c.strip() for c in line.split('|')] for line in text.strip().splitlines()]

@pytest.mark.parametrize('row', rows(RUNS), ids=lambda r: r[0])
def test_pretraining(row):
    name,arch,lr,size,total,eff,warm,steps,ema,subset,win = row
    gpus,batch = map(int, size.split(' x ')); r = recipe(name)
    assert (r['arch'],r['lr'],r['gpus'],r['batch_size'],r['warmup_steps'],r['max_steps'],r['ema'],r['subset'])==(
        arch, float(lr), gpus, batch, int(warm), int(steps), float(ema), int(subset))
    assert gpus*batch==int(total) and math.isclose(peak_lr(r), float(eff))
    a = pretrain_arguments(r); m = a['module']
    assert (m['arch'],m['warmup_steps'],m['max_steps'],m['ema'])==(arch, int(warm), int(steps), float(ema)) and math.isclose(m['learning_rate'], float(eff))
    assert a['data']==dict(batch_size=batch, gpus=gpus, subset=int(subset), seconds={'atst_clip_small': 9., 'atst_clip_base': 6.}.get(name, 10.))
    if win!='-': assert m['win_length']==r['views']['win_length']==int(win)

def test_crops_and_masks():
    crops = {'atst_clip_small': ((9.,9.), (6.,6.)), 'atst_clip_base': ((6.,6.), (6.,6.))}
    for name,(anchor,positive) in crops.items():
        a = pretrain_arguments(recipe(name))
        assert a['views']==dict(anchor_len=anchor, positive_len=positive) and a['module']['train_len']==anchor[0]
    for name in ('atst_frame_small','atst_frame_base'):
        a = pretrain_arguments(recipe(name)); v = dict(a['views']); v.pop('win_length')
        assert v==dict(anchor_len=10., aug_tea=False, aug_stu=True, mask_type='block', mask_ratio=.65, mask_len=5)
        assert a['module']['anchor_len']==10. and a['module']['symmetric'] is True

def test_arguments_fit():
    "what a recipe hands on is taken by the classes it is for, at its own schedules"
    from audiossl.methods.atst.model import ATSTLightningModule
    from audiossl.methods.atstframe.model import FrameATSTLightningModule
    from audiossl.methods.schedule import cosine_schedule
    from audiossl.transforms.views import ClipViews, FrameViews
    import inspect
    for name in PRETRAIN:
        a = pretrain_arguments(recipe(name)); clip = recipe(name)['method']=='atst_clip'
        views = (ClipViews if clip else FrameViews)(**a['views'])
        assert views.n_frames==int(a['data']['seconds']*100)+1
        assert a['module'].keys() <= inspect.signature(ATSTLightningModule if clip else FrameATSTLightningModule).parameters.keys()
        m = a['module']; table = cosine_schedule(m['learning_rate'], 1e-6, m['max_steps'], m['warmup_steps'])
        assert len(table)==m['max_steps'] and table[0]==0 and table.max()==m['learning_rate']

def test_another_batch():
    r = recipe('atst_clip_base')
    half = pretrain_arguments(r, gpus=3)['module']; full = pretrain_arguments(r)['module']
    assert math.isclose(half['learning_rate'], full['learning_rate']/2) and half['max_steps']==full['max_steps'] and half['ema']==full['ema']
    kept = pretrain_arguments(r, gpus=3, keep_clips=True)['module']
    assert kept['max_steps']==2*318_000 and kept['warmup_steps']==2*15_860 and math.isclose(kept['ema']**2, .9995)
    with pytest.raises(ValueError, match='batch_size=-1'): pretrain_arguments(r, batch_size=-1)

def test_tiny_is_ours():
    for name in list_recipes('*_tiny'):
        r = recipe(name); assert 'not a paper' in r['source'] and math.isclose(peak_lr(r), 1e-3)

# --- judging

LINEAR_ROWS = """
spcv2      | 2e-3               | 2e-3               | both
audioset_b | 2.0, 4.0, 1.0, 0.5 | 1.0, 2.0, 0.5      | both
audioset   | 2.0, 4.0, 1.0, 0.5 | 1.0, 0.5, 2.0      | none
voxceleb1  | 0.1, 0.05, 0.02    | 0.1, 0.05, 0.02    | both
nsynth     | 5e-4, 2.5e-4, 1e-3 | 5e-4, 2.5e-4, 1e-3 | both
us8k       | 2e-3               | 2e-3               | teacher
fsd50k     | 0.1, 1.0, 2.0, 4.0 | 0.1, 1.0, 2.0, 4.0 | both
"""
numbers = lambda text: () if text=='-' else tuple(float(o) for o in text.split(','))

@pytest.mark.parametrize('row', rows(LINEAR_ROWS), ids=lambda r: r[0])
def test_linear(row):
    data,clip,frame,encoders = row
    for method,lr in (('atst_clip',clip), ('atst_frame',frame)):
        r = recipe(f'linear_{method}_{data}')
        assert r['lr']==LINEAR[method][data]==numbers(lr)
        assert (r['batch_size'],r['gpus'],r['epochs'],r['n_blocks'],r['momentum'],r['weight_decay'])==(1024,1,100,12,.9,0.)
        assert peak_lr(r)==pytest.approx([4*o for o in numbers(lr)])
        assert r['folds']==(10 if data=='us8k' else 1) and r['select']=='best validation'
    assert r['encoders']==dict(both=('teacher','student'), none=None, teacher=('teacher',))[encoders]

#  set       | clip lr              | frame lr             | epochs clip / frame | mixup clip / frame | alpha clip / frame | warm-up | select frame
FINETUNE_ROWS = """
audioset   | 0.5, 1.0, 2.0        | 0.5, 1.0             | 10 / 11   | yes / yes   | 10 / 10           | 2 | best mAP
audioset_b | 1.0, 0.5             | 1.0                  | 200 / 200 | yes / yes   | 0.5, 10 / 0.5     | 5 | best mAP
fsd50k     | 0.5, 1.0             | 0.5, 1.0             | 100 / 100 | yes / yes   | 0.5, 10 / 10, 0.5 | 5 | last
spcv2      | 0.5                  | 1.0                  | 50 / 50   | yes / yes   | 0.5 / 10          | 5 | last
voxceleb1  | 0.1, 0.05            | 0.1, 0.05            | 50 / 50   | no / no     | - / -             | 5 | last
nsynth     | 5e-4, 2.5e-4, 1e-3   | 5e-4, 2.5e-4, 1e-3   | 50 / 50   | both / both | 0.5 / 0.5         | 5 | last
us8k       | 2e-3                 | 2e-3                 | 50 / 50   | both / yes  | 0.5 / 0.5         | 5 | last
"""

@pytest.mark.parametrize('row', rows(FINETUNE_ROWS), ids=lambda r: r[0])
def test_finetune(row):
    data,*lrs,epochs,mixup,alpha,warm,select = row
    for k,method in enumerate(('atst_clip','atst_frame')):
        r = recipe(f'finetune_{method}_{data}'); pick = lambda text: text.split(' / ')[k].strip()
        on = dict(yes=(True,), no=(False,), both=(True,False))[pick(mixup)]
        assert (r['lr'],r['epochs'],r['mixup'],r['mixup_alpha'],r['warmup_epochs'])==(numbers(lrs[k]), int(pick(epochs)), on, numbers(pick(alpha)), int(warm))
        assert FINETUNE[method][data]==(r['lr'], r['epochs'], r['mixup'], r['mixup_alpha'])
        assert (r['gpus'],r['batch_size'],r['layer_decay'],r['n_blocks'],r['spec_augment'],r['clip_grad'])==(4,128,.75,1,False,3.)
        assert r['mixup_ratio']==(None if on==(False,) else .5 if data=='audioset' else 1.) and r['resize_crop']==(True in on)
        assert peak_lr(r)==pytest.approx([2*o for o in numbers(lrs[k])]) and r['select']==(select if k else 'last')
    assert r['encoders']==(('teacher','student') if data=='voxceleb1' else ('teacher',))

DISTILL_ROWS = """
audioset_b | 3.0        | 200 | yes | 0.5
fsd50k     | 2.0        | 100 | yes | 10
spcv2      | 2.0        | 50  | yes | 0.5
nsynth     | 1e-2, 2e-2 | 50  | yes | 0.5
voxceleb1  | 5e-2       | 50  | no  | -
"""

@pytest.mark.parametrize('row', rows(DISTILL_ROWS), ids=lambda r: r[0])
def test_distill(row):
    data,lr,epochs,mixup,alpha = row; r = recipe(f'distill_{data}')
    assert (r['lr'],r['epochs'],r['mixup'],r['mixup_alpha'])==DISTILL[data]==(numbers(lr), int(epochs), (mixup=='yes',), numbers(alpha))
    assert (r['gpus'],r['batch_size'],r['warmup_epochs'],r['lambda_d'],r['layer_decay'],r['clip_grad'],r['select'])==(4,128,5,.5,.75,3.,'last')

def test_distill_audioset():
    r = recipe('distill_audioset')
    assert (r['max_steps'],r['warmup_steps'],r['lambda_d'],r['mixup_ratio'],r['mixup_alpha'],r['gpus'],r['batch_size'])==(39_010, 1300, 1., .5, (10.,), 5, 320)
    assert r['lr'] is None and peak_lr(r) is None

# --- the list, and the figures

def test_every_row_is_checked():
    first = lambda text: {r[0] for r in rows(text)}
    assert first(RUNS)=={k for k,v in PRETRAIN.items() if v['arch']!='tiny'} and first(DISTILL_ROWS)==set(DISTILL)
    for text,table in ((LINEAR_ROWS,LINEAR), (FINETUNE_ROWS,FINETUNE)):
        assert set(table)=={'atst_clip','atst_frame'} and all(set(v)==first(text)==set(SETS) for v in table.values())

def test_recipes_are_plain_and_ones_own():
    def plain(o): return o is None or isinstance(o, (str,int,float,bool)) or isinstance(o, tuple) and all(map(plain, o)) or \
        isinstance(o, dict) and all(isinstance(k, str) and plain(v) for k,v in o.items())
    for name in list_recipes():
        r = recipe(name); assert plain(r) and r['source'] and r['name']==name and r['kind'] in ('pretrain','linear','finetune','distill')
        if 'views' in r: r['views'].clear(); assert recipe(name)['views']

def test_unknown_names():
    with pytest.raises(ValueError, match="'atst_fram_small': unknown; did you mean atst_frame_small"): recipe('atst_fram_small')
    with pytest.raises(ValueError, match='see list_recipes'): recipe('zzzzzz')
    assert list_recipes('nothing*')==[]

FIGURES = """
ATST base          | linear   | voxceleb1 72
ATST base          | finetune | voxceleb1 94.3, audioset_b 37.4, spcv2 98.0
ATST               | -        | spcv2 95.1, us8k 85.8, nsynth 76.2
ATST-Clip base     | -        | audioset 45.2, audioset_b 37.9
ATST-Frame base    | -        | audioset 48.0, audioset_b 39.0
ATST-C2F           | -        | audioset 49.7, audioset_b 40.5
best of 2306.04186 | -        | spcv2 98.4, nsynth 79.8, us8k 85.8
ATST-Clip          | -        | fsd50k 58.5
ATST-Frame         | -        | fsd50k 55.1
"""

def test_published_figures():
    want = {(m, None if p=='-' else p, *o.split()[:1]): float(o.split()[1]) for m,p,os in rows(FIGURES) for o in os.split(', ')}
    assert {(o['model'],o['protocol'],o['data']): o['value'] for o in RESULTS if o['value'] is not None}==want
    assert all((o['value'] is None)==(o['source'] is None) for o in RESULTS)
    assert all(o['metric']==('mAP' if re.match('audioset|fsd', o['data']) else 'accuracy') for o in RESULTS)
    assert all(o['value'] is None for o in published(model='*small')) and {o['data'] for o in published('nsynth')}=={'nsynth'}

# --- true size

@pytest.mark.slow
@pytest.mark.parametrize('name', ['atst_clip_base', 'atst_frame_base'])
def test_one_step_at_true_size(name):
    import pytorch_lightning as pl
    from audiossl.datasets.batches import SceneBatches
    from audiossl.lightning.datamodules import PretrainDataModule
    from audiossl.methods.atst.model import ATSTLightningModule
    from audiossl.methods.atstframe.model import FrameATSTLightningModule
    from audiossl.transforms.views import ClipViews, FrameViews
    a = pretrain_arguments(recipe(name), batch_size=2, gpus=1)
    model,views = (ATSTLightningModule, ClipViews) if 'clip' in name else (FrameATSTLightningModule, FrameViews)
    module = model(**a['module'])
    noise = [np.random.default_rng(i).standard_normal(48_000).astype(np.float32)*.1 for i in range(2)]
    data = SceneBatches(noise, 0, 2, 2, views(**a['views']), a['data']['seconds'])
    before = module.model.student.encoder.blocks[0].attn.qkv.weight.detach().clone()
    trainer = pl.Trainer(max_steps=2, accelerator='cpu', logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(module, PretrainDataModule(data))             # two: the rate of the first is 0
    assert before.shape==(3*768, 768) and 0 < float(trainer.callback_metrics['loss']) < 4
    assert not before.equal(module.model.student.encoder.blocks[0].attn.qkv.weight)
