"""What the notes in the templates say. Names are in bold: newer editors draw code blue on blue."""

QUICKSTART = """## Quickstart: no download, a video in a minute or two

### Press **Run**: the picture is there, and so is the model.

### It is **svd_nano.safetensors**, a trained miniature that ships with the pack: small and soft, and a true video.

### Then drop your own picture on **Load Image**.

### **motion_bucket_id** says how much moves, **seed** how.

### For large videos open **image_to_video**; it needs 9.6 GB of weights.
"""

IMAGE_TO_VIDEO = """## Image to video

### Needs **svd_xt.safetensors** (9.6 GB) in **models/checkpoints**: \
the pack's README says where it comes from and its licence.

### Drop your own picture on **Load Image**.

### **Motion**: **motion_bucket_id** up for more.

### **Likeness**: **noise_aug_strength** down keeps closer to the picture.

### **Memory**: choose *low* for **memory** first, then a smaller size.

### **Speed**: **fps** is set twice: SVD Conditioning tells the model, Create Video plays.

### **In a hurry**: open **image_to_video_10_steps**.
"""

TEN_STEPS = """## Image to video in 10 steps

### Needs **svd_xt.safetensors** (9.6 GB) in **models/checkpoints**: \
the pack's README says where it comes from and its licence.

### Drop your own picture on **Load Image**.

### **Set the steps in SVD Sigmas**: the sampler's own **steps** is not used while sigmas are connected.

### **align-your-steps** are noise levels made for about 10 steps. \
With 20 and more, take **karras**, as **image_to_video** does.
"""

TEXT_TO_VIDEO = """## Text to video

### Upper row: the editor's own nodes make a picture from words. Lower row: it becomes a video.

### Needs two files in **models/checkpoints**: **sd_xl_base_1.0.safetensors** (6.9 GB) \
and **svd_xt.safetensors** (9.6 GB).

### Like the picture first: **mute** group 6 and run, change words or seed, then unmute.

### Any other text-to-image fits in the upper row.
"""

COMPARE_MOTION = """## Compare motion

### One picture, one seed, four values of **motion_bucket_id**: **16, 30, 60, 90**, side by side in one video.

### Press **Run**: it uses the miniature that ships with the pack, and takes four times as long as **quickstart**.

### To choose the motion for your own clip, set your checkpoint, picture and size, and **frames** in all four samplers.

### Keep the four seeds equal: then the bucket alone differs.
"""

FROM_CORE = """## From the editor's own nodes to ours

### **ImageOnlyCheckpointLoader** (called **Load Checkpoint Image Only** in ComfyUI 0.33, \
**Image Only Checkpoint Loader** in 0.3.64) is **Load SVD Checkpoint**.

### **augmentation_level** is **noise_aug_strength**; ours has a seed, and core's is twice as strong as it says.

### In the sampler: **cfg** is **max_guidance**, **min_cfg** is **min_guidance**, **video_frames** is **frames**. \
**width** and **height** are in **Fit Image**. **fps** and **motion_bucket_id** mean the same.

### One seed gives two different clips: noise is drawn differently. To run one row, mute the other's Save Video.
"""
