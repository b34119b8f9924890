"""A training run that is killed and started again ends bit for bit where the run ends that nobody touched.

This file is also the program whose processes are killed, `python test_resume.py FOLDER`: it imports the package once, runs nothing itself, and forks
each life of each run, so that the test takes seconds; a life knows of the one before it only what lies in its folder.
"""
import json, os, subprocess, sys, traceback
from pathlib import Path
import pytest

STEPS, EVERY, CLIPS = 15, 3, 15        # length of the run, steps between checkpoints, clips in the pool: with 3 in a batch it is gone through every 5 steps

def train(folder, method, workers, kill, in_save):
    "Train with `method` in `folder`, from its checkpoint if there is one; `kill`: exit hard when so many steps are done, -1 never; `in_save`: in the midst of that step's save"
    import logging, warnings
    import numpy as np, torch, pytorch_lightning as pl
    from audiossl.datasets.batches import ClipBatches, SceneBatches
    from audiossl.lightning.datamodules import PretrainDataModule
    from audiossl.methods.atst.model import ATSTLightningModule
    from audiossl.methods.atstframe.model import FrameATSTLightningModule
    from audiossl.methods.schedule import AtomicCheckpointIO
    from audiossl.transforms.views import ClipViews
    logging.getLogger('pytorch_lightning').setLevel(logging.ERROR); warnings.filterwarnings('ignore')
    folder = Path(folder); folder.mkdir(parents=True, exist_ok=True)
    file = folder/'run.ckpt'

    class Diary(pl.Callback):          # stands before ModelCheckpoint, which Lightning moves to the end
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            m = trainer.callback_metrics
            with open(folder/'diary.jsonl', 'a') as f:
                row = dict(step=trainer.global_step, loss=m['loss'].item().hex(), lr=m['lr'].item(), wd=m['wd'].item(), ema=m['ema'].item())
                f.write(json.dumps(row)+'\n'); f.flush(); os.fsync(f.fileno())
    class Killer(pl.callbacks.Checkpoint):     # of this class, and last, so that it comes after ModelCheckpoint
        def on_train_batch_end(self, trainer, *args):
            if trainer.global_step==kill and not in_save: os._exit(7)
            if trainer.global_step==kill-1 and in_save:      # the next save dies with its bytes written but not renamed
                def replace(a, b): os._exit(8)
                os.replace = replace

    rng = np.random.default_rng(5)
    pool = [np.sin(np.arange(n)*rng.uniform(.05, 1.)).astype(np.float32)*.3 for n in rng.integers(4000, 19000, CLIPS)]
    batches = ClipBatches(pool, 3, STEPS, 3, ClipViews((.5,.9), (.8,.8)), 1.) if method=='clip' else \
              SceneBatches(pool, 3, STEPS, 3, scene_seconds=1.2, speed=(.8,1.25), noise_db=(-60.,-50.))
    torch.manual_seed(0 if not file.exists() else 1234)         # a new process need not know the old stream
    module = (ATSTLightningModule if method=='clip' else FrameATSTLightningModule)('tiny', embed_dim=16, depth=2, num_heads=2, hidden=32, spec_w=121, drop_path_rate=.4,
                                      learning_rate=5e-3, warmup_steps=3, max_steps=STEPS, ema=.9)
    if file.exists(): # nothing may be left of the new weights
        with torch.no_grad(): [p.zero_() for p in module.parameters()]
    saver = pl.callbacks.ModelCheckpoint(folder, filename='run', every_n_train_steps=EVERY, save_top_k=1, enable_version_counter=False)
    trainer = pl.Trainer(max_steps=STEPS, max_epochs=-1, accelerator='cpu', devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
                         callbacks=[Diary(), saver, Killer()], plugins=[AtomicCheckpointIO()])
    trainer.fit(module, PretrainDataModule(batches, num_workers=workers), ckpt_path=file if file.exists() else None)
    torch.save(module.state_dict(), folder/'final.pt')

# (kill when so many steps are done, in the midst of the last one's save): at the first step; before there is a checkpoint; in the first save; the step before
# the clips are gone through, at the last of them, the step after; at a checkpoint; in a later save; between; at a checkpoint; the last step but one; the last
KILLS = [(1,False), (2,False), (3,True), (4,False), (5,False), (6,False), (7,False), (9,True), (10,False), (12,False), (14,False), (15,False)]
END = (-1,False)                       # not killed
# name -> (method, workers, lives). For Lightning a run is one epoch, whose end is the last step; there is none to go on into
LIVES = {f'{m} {n}': (m, w, k) for m in ('frame','clip') for n,w,k in (('whole', 0, [END]), ('none', 0, [*KILLS,END]), ('two', 2, [*KILLS,END]))}
RUNS = {m: tuple(n for n in LIVES if n.startswith(m)) for m in ('frame','clip')}

def main(folder):
    "All lives of all runs, one after another; prints for each its exit code and the checkpoint files that it left"
    import pytorch_lightning, audiossl.lightning.datamodules, audiossl.methods.atst.model, audiossl.methods.atstframe.model
    for name,(method,workers,lives) in LIVES.items():
        for kill,in_save in lives:
            pid = os.fork()
            if not pid:
                try: train(folder/name, method, workers, kill, in_save)
                except BaseException: traceback.print_exc(); sys.stderr.flush(); os._exit(1)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            print(json.dumps(dict(name=name, kill=kill, in_save=in_save, code=code, left=sorted(o.name for o in (folder/name).glob('*.ckpt*')))), flush=True)
            if code==1: sys.exit(1)

def diary(folder): return [json.loads(l) for l in (folder/'diary.jsonl').read_text().splitlines()]

@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs')
    env = dict(os.environ, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    r = subprocess.run([sys.executable, __file__, str(folder)], env=env, capture_output=True, text=True, timeout=800)
    assert r.returncode==0, f'{r.stdout[-1000:]}\n{r.stderr[-4000:]}'
    return folder, [json.loads(l) for l in r.stdout.splitlines()]

def test_killed_as_meant(runs):
    "12 kills of each method, with 0 and with 2 workers: first, before, at and after the end of a pass over the clips, last but one, during a save"
    assert len(KILLS)==12 and {1,STEPS-1,*(CLIPS//3+o for o in (-1,0,1))}<={k for k,_ in KILLS} and sum(o for _,o in KILLS)==2
    assert len(runs[1])==2*(1+2*13)
    for life in runs[1]:
        kill,in_save = life['kill'], life['in_save']
        assert life['code']==(0 if kill<0 else 8 if in_save else 7), life
        assert life['left']==['.run.ckpt.part']*in_save + ['run.ckpt']*(kill<0 or kill-in_save>=EVERY), life

@pytest.mark.parametrize('method', RUNS)
def test_resume_is_exact(runs, method):
    import torch
    folder, (whole,*killed) = runs[0], RUNS[method]
    want = {r['step']:r for r in diary(folder/whole)}
    final = torch.load(folder/whole/'final.pt', weights_only=True)
    assert sorted(want)==list(range(1, STEPS+1)) and len({r['loss'] for r in want.values()})==STEPS
    for name in killed:
        steps, at = [], 0                                       # what each life must have done: from the last checkpoint to its end
        for kill,in_save in LIVES[name][2]:
            end = STEPS if kill<0 else kill
            steps += range(at+1, end+1); at = (end-in_save)//EVERY*EVERY
        rows = diary(folder/name)
        assert [r['step'] for r in rows]==steps, f'{name} workers: a step was lost or doubled'
        for r in rows:
            for k in ('loss','lr','wd','ema'): assert r[k]==want[r['step']][k], f'{name} workers, step {r["step"]}, {k}: {r[k]} instead of {want[r["step"]][k]}'
        got = torch.load(folder/name/'final.pt', weights_only=True)
        assert list(got)==list(final)
        for k in final: assert torch.equal(got[k], final[k]), f'{name} workers: {k} differs at the end'

if __name__=='__main__': main(Path(sys.argv[1]))
