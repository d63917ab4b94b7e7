"""The pretrained pipelines at tiny size with random weights: diffusers' real classes, written by themselves."""

from pathlib import Path
from typing import Any

from tiny_published import randomised, tokenizer

WORDS = ("<pad>", "</s>", "<unk>", "a", "red", "blue", "ball", "moves", "left", "right")


def words_tokenizer() -> Any:
    """A tokenizer of whole words, with the marks that T5 has."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    marks = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=512, **marks)


def t5(kind: str = "T5") -> Any:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=16, num_layers=2, num_heads=4, relative_attention_num_buckets=8
    )
    return randomised(getattr(transformers, f"{kind}EncoderModel")(config), std=0.3)


def wan_vae() -> Any:
    import diffusers

    made = diffusers.AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    return randomised(made, std=0.3)


def wan_network(*, pictures: bool, seed: int = 0, kind: str = "WanTransformer3DModel") -> Any:
    import diffusers

    made = getattr(diffusers, kind)(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=36,
        out_channels=16,
        text_dim=32,
        freq_dim=32,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
        image_dim=4 if pictures else None,
        **({"pos_embed_seq_len": 2 * (4 * 4 + 1)} if pictures and kind.startswith("Wan") else {}),
    )
    return randomised(made, seed=seed, std=0.2)


def wan(folder: Path, *, version: str = "2.1-flf") -> Path:
    """Wan 2.1's model for first and last frames, or 2.2's with two experts."""
    import diffusers
    import transformers

    two = version == "2.2"
    parts: dict[str, Any] = {
        "transformer": wan_network(pictures=not two),
        "transformer_2": wan_network(pictures=False, seed=1) if two else None,
        "vae": wan_vae(),
        "text_encoder": t5("UMT5"),
        "tokenizer": words_tokenizer(),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        "image_encoder": None,
        "image_processor": None,
    }
    if not two:
        config = transformers.CLIPVisionConfig(
            hidden_size=4,
            projection_dim=4,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=4,
            intermediate_size=16,
            patch_size=1,
        )
        parts["image_encoder"] = randomised(transformers.CLIPVisionModel(config), std=0.3)
        parts["image_processor"] = transformers.CLIPImageProcessor(crop_size=4, size=4)
    pipe = diffusers.WanImageToVideoPipeline(**parts, boundary_ratio=0.9 if two else None)
    pipe.save_pretrained(folder)
    return folder


def ltx(folder: Path) -> Path:
    import diffusers

    vae = diffusers.AutoencoderKLLTXVideo(
        in_channels=3,
        out_channels=3,
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False, False, False, False, False),
        upsample_residual=(False, False, False, False),
        upsample_factor=(1, 1, 1, 1),
        timestep_conditioning=False,
        patch_size=1,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )
    vae.use_framewise_encoding = vae.use_framewise_decoding = False
    network = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=1,
        caption_channels=32,
    )
    pipe = diffusers.LTXConditionPipeline(
        transformer=randomised(network, std=0.2),
        vae=randomised(vae, std=0.2),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=t5(),
        tokenizer=words_tokenizer(),
    )
    pipe.save_pretrained(folder)
    return folder


def svd(folder: Path, *, number: int = 32, layers: int = 1) -> Path:
    """number: the width of the code of one number in its vector. layers: of the autoencoder; published ones have 2."""
    import diffusers
    import transformers

    network = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=2,
        sample_size=32,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=32,
        num_attention_heads=8,
        projection_class_embeddings_input_dim=3 * number,
        addition_time_embed_dim=number,
        num_frames=6,
    )
    vae = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        layers_per_block=layers,
        latent_channels=4,
    )
    config = transformers.CLIPVisionConfig(
        hidden_size=32,
        projection_dim=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=224,
        intermediate_size=37,
        patch_size=56,
    )
    pipe = diffusers.StableVideoDiffusionPipeline(
        unet=randomised(network, std=0.1),
        vae=randomised(vae, std=0.1),
        image_encoder=randomised(transformers.CLIPVisionModelWithProjection(config)),
        feature_extractor=transformers.CLIPImageProcessor(crop_size=224, size=224),
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            interpolation_type="linear",
            prediction_type="v_prediction",
            sigma_max=700.0,
            sigma_min=0.002,
            steps_offset=1,
            timestep_spacing="leading",
            timestep_type="continuous",
            use_karras_sigmas=True,
        ),
    )
    pipe.save_pretrained(folder)
    return folder


def i2vgen(folder: Path) -> Path:
    import diffusers
    import transformers

    network = diffusers.I2VGenXLUNet(
        block_out_channels=(4, 8),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=4,
        attention_head_dim=4,
        norm_num_groups=2,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        norm_num_groups=2,
        sample_size=32,
    )
    text = transformers.CLIPTextConfig(
        vocab_size=1000,
        hidden_size=4,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=0,
        eos_token_id=2,
        projection_dim=32,
    )
    vision = transformers.CLIPVisionConfig(
        hidden_size=4,
        projection_dim=4,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        intermediate_size=16,
        patch_size=8,
    )
    pipe = diffusers.I2VGenXLPipeline(
        unet=randomised(network, std=0.2),
        vae=randomised(vae, std=0.2),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="linear", clip_sample=False, set_alpha_to_one=False
        ),
        text_encoder=randomised(transformers.CLIPTextModel(text), std=0.3),
        tokenizer=tokenizer(folder.parent / "i2vgen words"),
        image_encoder=randomised(transformers.CLIPVisionModelWithProjection(vision), std=0.3),
        feature_extractor=transformers.CLIPImageProcessor(crop_size=32, size=32),
    )
    pipe.save_pretrained(folder)
    return folder


def cogvideox(folder: Path) -> Path:
    import diffusers

    network = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=32,
        num_layers=1,
        sample_width=4,
        sample_height=4,
        sample_frames=9,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=226,
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=True,
    )
    vae = diffusers.AutoencoderKLCogVideoX(
        in_channels=3,
        out_channels=3,
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    pipe = diffusers.CogVideoXImageToVideoPipeline(
        transformer=randomised(network, std=0.2),
        vae=randomised(vae, std=0.2),
        scheduler=diffusers.CogVideoXDDIMScheduler(),
        text_encoder=t5(),
        tokenizer=words_tokenizer(),
    )
    pipe.save_pretrained(folder)
    return folder


def skyreels(folder: Path) -> Path:
    import diffusers
    import transformers

    config = transformers.CLIPVisionConfig(
        hidden_size=4,
        projection_dim=4,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=4,
        intermediate_size=16,
        patch_size=1,
    )
    pipe = diffusers.SkyReelsV2ImageToVideoPipeline(
        transformer=wan_network(pictures=True, kind="SkyReelsV2Transformer3DModel"),
        vae=wan_vae(),
        text_encoder=t5("UMT5"),
        tokenizer=words_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        image_encoder=randomised(transformers.CLIPVisionModelWithProjection(config), std=0.3),
        image_processor=transformers.CLIPImageProcessor(crop_size=4, size=4),
    )
    pipe.save_pretrained(folder)
    return folder


def framepack(folder: Path) -> Path:
    import diffusers
    import transformers

    network = diffusers.HunyuanVideoFramepackTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        text_embed_dim=16,
        pooled_projection_dim=4,
        rope_axes_dim=(2, 4, 4),
        has_image_proj=True,
        image_proj_dim=8,
        has_clean_x_embedder=True,
    )
    vae = diffusers.AutoencoderKLHunyuanVideo(
        latent_channels=4, block_out_channels=(4, 4, 4, 4), layers_per_block=1, norm_num_groups=2
    )
    llama = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        pad_token_id=0,
    )
    clip = transformers.CLIPTextConfig(
        vocab_size=1000,
        hidden_size=4,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=0,
        eos_token_id=2,
        projection_dim=4,
    )
    vision = transformers.SiglipVisionConfig(
        hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    pipe = diffusers.HunyuanVideoFramepackPipeline(
        transformer=randomised(network, std=0.2),
        vae=randomised(vae, std=0.2),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=randomised(transformers.LlamaModel(llama), std=0.3),
        tokenizer=words_tokenizer(),
        text_encoder_2=randomised(transformers.CLIPTextModel(clip), std=0.3),
        tokenizer_2=tokenizer(folder.parent / "framepack words"),
        image_encoder=randomised(transformers.SiglipVisionModel(vision), std=0.3),
        feature_extractor=transformers.SiglipImageProcessor(size={"height": 16, "width": 16}),
    )
    pipe.save_pretrained(folder)
    return folder
